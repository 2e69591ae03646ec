// Compiles Kaitai schemas: reads {languages: [...] or null for all, schemas: {name: schema as JSON}}
// on stdin, writes {language: {file: source}}.
const compiler = require("kaitai-struct-compiler");

async function main() {
  const { languages, schemas } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const compiled = {};
  for (const language of languages ?? compiler.languages) {
    compiled[language] = {};
    for (const schema of Object.values(schemas)) {
      Object.assign(compiled[language], await compiler.compile(language, schema, null, false));
    }
  }
  process.stdout.write(JSON.stringify(compiled));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
