"""What is on every topic, said once: for programs as an AsyncAPI document, for people as a page.
From what the code knows, so that neither can be wrong.
"""
