"""Description of every topic, built from the code: an AsyncAPI document and a Markdown page."""
