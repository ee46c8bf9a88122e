// The tests for node's own runner: TypeScript in, one file for each test out. Packages are left to node.
import { readdirSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

import { MUTANTS } from "./tests/mutants";

const tests = readdirSync("tests").filter((name) => name.endsWith(".test.ts"));

/** Breaks the code on purpose, in the way that WEB_MUTANT names: see tests/mutants.ts. */
function mutate(): Plugin {
  const name = process.env["WEB_MUTANT"];
  const mutant = MUTANTS.find((one) => one.name === name);
  if (name !== undefined && mutant === undefined) throw new Error(`there is no mutant ${name}`);
  let isDone = mutant === undefined;
  return {
    name: "mutate",
    enforce: "pre",
    transform(code, id) {
      if (mutant === undefined || !id.endsWith(`/src/session/${mutant.file}`)) return null;
      if (!code.includes(mutant.from)) throw new Error(`${mutant.file} has no place for ${mutant.name}`);
      isDone = true;
      return code.replace(mutant.from, () => mutant.to);
    },
    buildEnd() {
      if (!isDone) throw new Error(`${mutant?.file} is in no test`);
    },
  };
}

export default defineConfig({
  plugins: [mutate()],
  publicDir: false,
  build: {
    ssr: true,
    outDir: "target/tests",
    emptyOutDir: true,
    minify: false,
    sourcemap: "inline",
    target: "node20",
    rollupOptions: {
      input: Object.fromEntries(tests.map((name) => [name.slice(0, -3), `tests/${name}`])),
      output: { entryFileNames: "[name].js", chunkFileNames: "shared/[name].js" },
    },
  },
});
