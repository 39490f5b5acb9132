// Runs a module on node's WASI: the module's file and the guest's arguments are arguments, the grants are in WASMELT_BENCH.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(1);
const grants = JSON.parse(process.env.WASMELT_BENCH);
const wasi = new WASI({ version: "preview1", args: [file, ...args], ...grants });
const module = new WebAssembly.Module(readFileSync(file));
process.exitCode = wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
