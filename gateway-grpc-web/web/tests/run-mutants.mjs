// Builds the tests with each mutant, and sees the named test fail.

import { spawnSync } from "node:child_process";
import { createServer } from "vite";

const vite = await createServer({ server: { middlewareMode: true }, appType: "custom", logLevel: "error" });
const { MUTANTS } = await vite.ssrLoadModule("/tests/mutants.ts");
await vite.close();

let survived = 0;
const only = process.argv.slice(2);
for (const { name, test, pattern } of MUTANTS) {
  if (only.length > 0 && !only.includes(name)) continue;
  const env = { ...process.env, WEB_MUTANT: name, WEB_TEST_LIMIT: "8000" };
  const build = ["vite", "build", "--config", "vite.tests.config.ts", "--outDir", "target/mutant", "--logLevel", "error"];
  if (spawnSync("npx", build, { env, stdio: "inherit" }).status !== 0) process.exit(1);
  const run = ["--test", "--test-timeout=60000", `--test-name-pattern=${pattern}`, `target/mutant/${test}.test.js`];
  const { status, stdout } = spawnSync("node", run, { env, encoding: "utf8" });
  // A pattern that names no test proves nothing.
  const failed = status !== 0 && /^not ok \d+ - (?!.*\.js$)/m.test(stdout);
  console.log(`${failed ? "caught  " : "SURVIVED"}  ${name}`);
  if (!failed) survived += 1;
}
process.exit(survived === 0 ? 0 : 1);
