// The network: ONNX Runtime's WebAssembly, one thread, away from the page so that it stays alive.

import * as ort from "./ort/ort.js";

ort.env.wasm.numThreads = 1; // more would want headers that plain static servers do not send
ort.env.wasm.wasmPaths = { wasm: new URL("./ort/ort.wasm", import.meta.url).href };

/** (1, 3, H, W) in [0, 1] from pixels; transparency is left out. */
function toTensor({ data, width, height }) {
  const plane = width * height;
  const values = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) values[c * plane + i] = data[4 * i + c] / 255;
  }
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

/** Opaque pixels from (1, 3, H, W) in [0, 1]; the array rounds. */
function toPixels({ data, dims: [, , height, width] }) {
  const plane = width * height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * data[c * plane + i];
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}

async function load() {
  const facts = await (await fetch("model.json")).json();
  const session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
  const noise = new ort.Tensor("float32", Float32Array.from(facts.noise), [1, facts.noise.length]);
  return { facts, session, noise };
}

const loading = load();
loading.then(
  ({ facts }) => postMessage({ kind: "loaded", name: facts.name, scale: facts.scale }),
  (error) => postMessage({ kind: "broken", reason: error.message }),
);

addEventListener("message", async ({ data }) => {
  try {
    const { session, noise } = await loading;
    const began = performance.now();
    const { restored } = await session.run({ image: toTensor(data), noise });
    const seconds = (performance.now() - began) / 1000;
    postMessage({ kind: "restored", pixels: toPixels(restored), seconds });
  } catch (error) {
    postMessage({ kind: "failed", reason: error.message });
  }
});
