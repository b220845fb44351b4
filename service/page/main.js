// The page: pictures in, one request each, everything else without a request.

import { Refusal, ask, isReady, keepKey, loadModels } from "./api.js";
import * as take from "./downloads.js";
import { css } from "./palette.js";
import { Scene } from "./scene.js";
import { View, percent } from "./view.js";

const MOST_TRIES = 20;
const element = (id) => document.getElementById(id);
const view = new View(element("canvas"), hover, pick);

let models = [];
const entries = []; // pictures of this visit: {file, name, url, bitmap, scenes, hidden, item}
let current = null;
let working = null; // AbortController of the request on its way
const threshold = () => Number(element("score").value);
const task = () => document.querySelector('input[name="task"]:checked').value;

// ------- what the server offers

async function start() {
  try {
    models = await untilAnswered(() => loadModels());
  } catch (error) {
    tell(error, start);
    return;
  }
  element("model").replaceChildren(
    ...models.map(({ name }) => Object.assign(document.createElement("option"), { textContent: name })),
  );
  element("model-choice").hidden = models.length < 2;
  offerTasks();
  element("score").value = chosenModel().defaults[task()]?.score_threshold ?? 0.3;
  sayValues();
}

const chosenModel = () => models[element("model").selectedIndex] ?? models[0];

/** Only what a model can do is offered; another that can is named. */
function offerTasks() {
  for (const radio of document.querySelectorAll('input[name="task"]')) {
    const able = chosenModel().tasks.includes(radio.value);
    radio.disabled = !able;
    radio.parentElement.title = able ? "" : `${chosenModel().name} cannot do this`;
    if (!able && radio.checked) document.querySelector('input[name="task"]:not([disabled])').click();
  }
}

// ------- pictures come in

function addPictures(files) {
  const pictures = [...files].filter((file) => file.size > 0);
  for (const file of pictures) {
    const entry = { file, name: file.name || "pasted.png", url: URL.createObjectURL(file), scenes: new Map() };
    entries.push(entry);
    entry.item = thumbnail(entry);
    element("pictures").append(entry.item);
  }
  if (pictures.length) select(entries.at(-pictures.length));
}

function thumbnail(entry) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const image = Object.assign(new Image(), { src: entry.url, alt: entry.name });
  button.append(image);
  button.addEventListener("click", () => select(entry));
  item.append(button);
  return item;
}

async function select(entry) {
  current = entry;
  element("welcome").hidden = true;
  for (const other of entries) {
    other.item.firstChild.setAttribute("aria-pressed", String(other === entry));
  }
  // A format that the browser cannot show (TIFF, mostly) still gets its masks.
  entry.bitmap ??= await createImageBitmap(entry.file).catch(() => null);
  if (current === entry) await find();
}

/** Ask for the current picture what is chosen, unless it has been asked before. */
async function find() {
  const entry = current;
  if (!entry || !models.length) return;
  const options = chosenOptions();
  const address = `${task()}?${new URLSearchParams(options)}`;
  working?.abort();
  tell(null);
  if (!entry.scenes.has(address)) {
    working = new AbortController();
    const { signal } = working;
    const asked = task();
    progress("Sending", 0);
    try {
      const { answer, stages } = await untilAnswered(
        () => ask(asked, entry.file, options, (share) => progress(share < 1 ? "Sending" : "Waiting", share), signal),
        signal,
      );
      const scene = new Scene(answer, asked, entry.bitmap);
      Object.assign(scene, { stages, address, categoriesHidden: new Set() });
      entry.scenes.set(address, scene);
    } catch (error) {
      if (!signal.aborted && entry === current) tell(error, find);
      if (signal.aborted && signal.reason === "cancelled") say("Cancelled.");
      return;
    } finally {
      if (working?.signal === signal) {
        working = null;
        progress(null);
      }
    }
  }
  if (entry === current) show(entry.scenes.get(address));
}

function chosenOptions() {
  const options = { model: chosenModel().name, max_instances: element("most").value };
  // A partition depends on its threshold; instances below it are merely hidden.
  if (task() === "segment") options.score_threshold = element("least").value;
  return options;
}

/** Try again while the server says that it will have time, or comes back. */
async function untilAnswered(attempt, signal) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Refusal) || signal?.aborted) throw error;
      if (error.status === 401 && (await askForKey())) continue;
      const passing = [0, 429, 503].includes(error.status);
      if (!passing || tries === MOST_TRIES) throw error;
      await countDown(error, signal);
    }
  }
}

async function countDown(error, signal) {
  const seconds = Math.ceil(error.retryAfter ?? 2);
  const why = error.status === 429 ? "The server is full" : error.status ? error.title : "No connection";
  for (let left = seconds; left > 0; left--) {
    progress(`${why}: trying again in ${left} s`, null);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal?.throwIfAborted();
    if (error.status !== 429 && (await isReady())) return;
  }
}

function askForKey() {
  const dialog = element("key-dialog");
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok" ? element("key").value : "";
      element("key").value = "";
      if (given) keepKey(given);
      resolve(Boolean(given));
    }, { once: true }),
  );
}

// ------- what was found

function show(scene) {
  view.show(scene);
  element("takeaway").hidden = false;
  element("list").replaceChildren(...scene.objects.map(row));
  listClasses(scene);
  listTimes(scene.stages);
  refilter(true);
  for (const button of document.querySelectorAll("[data-take]")) {
    if (button.dataset.take === "panoptic") button.hidden = scene.task !== "panoptic";
  }
  pick(null);
  if (!scene.picture) say("The browser cannot show this format; the masks are drawn without it.");
}

function row(object) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = css(object.colour);
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: object.category });
  const score = Object.assign(document.createElement("span"), {
    className: "score",
    textContent: object.score == null ? "stuff" : percent(object.score),
  });
  button.append(swatch, name, score);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => pick(view.picked === object ? null : object));
  button.addEventListener("pointerenter", () => hover(object));
  button.addEventListener("pointerleave", () => hover(null));
  item.append(button);
  object.item = item;
  return item;
}

function listClasses(scene) {
  const names = new Map(scene.objects.map(({ category_id, category }) => [category_id, category]));
  element("classes").replaceChildren(
    ...[...names].map(([id, name]) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox" });
      box.checked = !scene.categoriesHidden.has(id);
      box.addEventListener("change", () => {
        if (box.checked) scene.categoriesHidden.delete(id);
        else scene.categoriesHidden.add(id);
        refilter();
      });
      label.append(box, ` ${name}`);
      return label;
    }),
  );
}

function listTimes(stages) {
  const parts = stages.filter(([name]) => name !== "total");
  const sum = parts.reduce((total, [, time]) => total + time, 0) || 1;
  element("times").replaceChildren(
    ...parts.map(([name, time], index) => {
      const part = document.createElement("span");
      part.title = `${name}: ${time} ms`;
      part.style.flexGrow = time / sum;
      part.style.background = `hsl(${(index * 67) % 360} 55% 50%)`;
      return part;
    }),
  );
  const words = stages.map(([name, time]) => `${name} ${time < 10 ? time.toFixed(1) : Math.round(time)} ms`);
  element("times").setAttribute("aria-label", words.join(", "));
  element("times-list").replaceChildren(
    ...words.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
}

function refilter(always = false) {
  const { scene } = view;
  if (!scene) return;
  if (!scene.filter(threshold(), scene.categoriesHidden) && !always) return;
  for (const object of scene.objects) object.item.hidden = !object.shown;
  if (view.picked && !view.picked.shown) pick(null);
  view.hovered = null;
  const shown = scene.shown.length;
  const text = `${shown} of ${scene.objects.length}`;
  element("count").textContent = text;
  const counted = new Map();
  for (const { category } of scene.shown) counted.set(category, (counted.get(category) ?? 0) + 1);
  const names = [...counted].map(([name, count]) => `${count} ${name}`).join(", ");
  element("canvas").setAttribute("aria-label", `Picture with ${shown} objects: ${names || "none"}`);
  say(`${text} objects shown`);
  view.draw();
}

function hover(object) {
  if (view.hovered === object) return;
  view.hovered?.item?.firstChild.classList.remove("hovered");
  view.hovered = object;
  object?.item?.firstChild.classList.add("hovered");
  view.draw();
}

function pick(object) {
  view.picked?.item?.firstChild.setAttribute("aria-pressed", "false");
  view.picked = object;
  document.querySelector('[data-take="cutout"]').disabled = !object?.crop?.width || !view.scene?.picture;
  if (object) {
    object.item.firstChild.setAttribute("aria-pressed", "true");
    object.item.scrollIntoView({ block: "nearest" });
    view.reveal(object);
    say(`${object.category}${object.score == null ? "" : `, ${percent(object.score)}`}`);
  }
  view.draw();
}

function walk(step) {
  const shown = view.scene?.shown ?? [];
  if (!shown.length) return;
  const place = shown.indexOf(view.picked);
  const next = place < 0 ? (step > 0 ? 0 : shown.length - 1) : (place + step + shown.length) % shown.length;
  pick(shown[next]);
}

// ------- taking away

async function takeAway(kind) {
  const { scene } = view;
  if (!scene) return;
  const stem = current.name.replace(/\.\w+$/, "");
  const here = new URL(scene.address, document.baseURI).href;
  if (kind === "json") take.save(take.nativeJson(scene), `${stem}.json`);
  if (kind === "coco") take.save(take.cocoJson(scene, 1, `${stem}.png`), `${stem}.coco.json`);
  if (kind === "overlay") take.save(await take.overlayPng(scene, view.opacity), `${stem}.overlay.png`);
  if (kind === "panoptic") take.save(await take.panopticPng(scene), `${stem}.png`);
  if (kind === "cutout" && view.picked) {
    take.save(await take.cutoutPng(scene, view.picked), `${stem}.${view.picked.category}.png`);
  }
  if (kind === "curl") await copy(take.asCurl(here, current.name));
  if (kind === "python") await copy(take.asPython(here, current.name));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    // Without https the browser gives no clipboard; a prompt lets a person copy.
    window.prompt("Copy this:", text);
  }
}

// ------- what is told

function say(text) {
  element("status").textContent = text;
}

function progress(text, share) {
  element("work").hidden = text === null;
  if (text === null) return;
  if (element("work-text").textContent !== text) element("work-text").textContent = text;
  if (share === null || share >= 1) element("progress").removeAttribute("value");
  else element("progress").value = share;
}

function tell(error, again) {
  const box = element("trouble");
  box.hidden = !error;
  if (!error) return;
  view.show(null);
  element("list").replaceChildren();
  element("count").textContent = "";
  const title = document.createElement("strong");
  title.textContent = error instanceof Refusal ? error.title : "This page has a defect";
  const detail = Object.assign(document.createElement("p"), { textContent: error.message });
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
  button.addEventListener("click", () => {
    tell(null);
    again();
  });
  box.replaceChildren(title, detail, button);
}

function sayValues() {
  element("score-value").textContent = percent(threshold());
  element("opacity-value").textContent = percent(Number(element("opacity").value));
}

// ------- wires

element("files").addEventListener("change", (event) => {
  addPictures(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const button of element("examples").querySelectorAll("button")) {
  button.addEventListener("click", async () => {
    const { src } = button.firstElementChild;
    const data = await (await fetch(src)).blob();
    addPictures([new File([data], src.split("/").at(-1), { type: data.type })]);
  });
}
for (const radio of document.querySelectorAll('input[name="task"]')) radio.addEventListener("change", find);
element("model").addEventListener("change", () => {
  offerTasks();
  find();
});
element("most").addEventListener("change", find);
element("least").addEventListener("change", find);
element("cancel").addEventListener("click", () => working?.abort("cancelled"));
element("score").addEventListener("input", () => {
  sayValues();
  refilter();
});
element("opacity").addEventListener("input", () => {
  view.opacity = Number(element("opacity").value);
  sayValues();
  view.draw();
});
element("names").addEventListener("change", (event) => {
  view.names = event.target.checked;
  view.draw();
});
element("zoom-in").addEventListener("click", () => view.zoomBy(1.5));
element("zoom-out").addEventListener("click", () => view.zoomBy(1 / 1.5));
element("zoom-fit").addEventListener("click", () => view.fit());
for (const button of document.querySelectorAll("[data-take]")) {
  button.addEventListener("click", () => takeAway(button.dataset.take));
}

const stage = element("stage");
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("dropping");
});
window.addEventListener("dragleave", () => stage.classList.remove("dropping"));
window.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("dropping");
  addPictures(event.dataTransfer.files);
});
window.addEventListener("paste", (event) => addPictures(event.clipboardData.files));

const isTyping = (target) => target.matches?.("select, textarea, input:not([type=radio]):not([type=checkbox])");
window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const arrows = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  const known = {
    "+": () => view.zoomBy(1.25),
    "=": () => view.zoomBy(1.25),
    "-": () => view.zoomBy(1 / 1.25),
    0: () => view.fit(),
    Escape: () => pick(null),
    ArrowDown: () => walk(1),
    ArrowRight: () => walk(1),
    ArrowUp: () => walk(-1),
    ArrowLeft: () => walk(-1),
    h: () => hideMasks(true),
    H: () => hideMasks(true),
  };
  const act = event.shiftKey && arrows[event.key] ? () => view.panBy(...arrows[event.key]) : known[event.key];
  // In a group of radio buttons the arrows are the group's.
  if (!act || (event.target.matches?.("input[type=radio]") && arrows[event.key])) return;
  event.preventDefault();
  if (view.scene) act();
});
window.addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() === "h") hideMasks(false);
});
window.addEventListener("blur", () => hideMasks(false));

function hideMasks(hidden) {
  if (view.hidden === hidden) return;
  view.hidden = hidden;
  view.draw();
}

// What a test or a curious person may look at.
window.blendmask = { view };
start();
