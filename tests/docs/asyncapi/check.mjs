// Prints what AsyncAPI's own parser has to say of each of the documents on standard input, a JSON array, as another one.

import { readFileSync } from "node:fs";
import parser from "@asyncapi/parser";

const judge = new parser.Parser();
const verdicts = [];
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const diagnostics = await judge.validate(JSON.stringify(document));
  verdicts.push(diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("/"), message })));
}
console.log(JSON.stringify(verdicts));
