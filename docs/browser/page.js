// The page: from a file to pixels, and from the worker's pixels to a picture and a PNG.

const MOST_PIXELS = 512 * 512; // what single-threaded WebAssembly does in about a minute

const [file, run, save, status, before, after] = ["file", "run", "save", "status", "before", "after"]
  .map((id) => document.getElementById(id));
const worker = new Worker("worker.js", { type: "module" });
let network = "Loading the network …"; // what is said of it
let ready = false;
let photo = "Choose a photo."; // what is said of it, or of its result
let chosen = null; // its pixels

function update() {
  status.textContent = `${photo} ${network}`;
  run.disabled = !ready || chosen === null;
}

function show(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The pixels of a file, upright, without conversion to the screen's colours. */
async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Show a chosen file; returns what is said of it. */
async function choose(picture) {
  chosen = null;
  save.hidden = true;
  if (!picture) return "Choose a photo.";
  let pixels;
  try {
    pixels = await pixelsOf(picture);
  } catch {
    return `${picture.name} is no picture that this browser reads; choose a JPEG, PNG or WebP.`;
  }
  show(before, pixels);
  const size = `${picture.name} has ${pixels.width}×${pixels.height} pixels`;
  if (pixels.width * pixels.height > MOST_PIXELS) {
    return `${size}, too many for this page; choose one of at most ${MOST_PIXELS} in all.`;
  }
  chosen = pixels;
  return `${size}.`;
}

file.addEventListener("change", async () => {
  photo = await choose(file.files[0]);
  update();
});

run.addEventListener("click", () => {
  worker.postMessage(chosen);
  ready = false;
  file.disabled = true;
  save.hidden = true;
  photo = "Restoring …";
  update();
});

async function finish({ pixels, seconds }) {
  show(after, pixels);
  const blob = await new Promise((done) => after.toBlob(done, "image/png"));
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(blob);
  save.hidden = false;
  return `Now ${pixels.width}×${pixels.height} pixels, in ${seconds.toFixed(1)} s.`;
}

worker.addEventListener("message", async ({ data }) => {
  if (data.kind === "loaded") network = `(${data.name}, ×${data.scale})`;
  if (data.kind === "broken") network = `The network can't be loaded: ${data.reason}.`;
  if (data.kind === "failed") photo = `That failed: ${data.reason}.`;
  if (data.kind === "restored") photo = await finish(data);
  ready = data.kind !== "broken";
  file.disabled = false;
  update();
});

worker.addEventListener("error", () => {
  network = "The network can't be loaded; is everything there that the page is built of?";
  update();
});

update();
