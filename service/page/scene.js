// What is seen: a picture, its objects with their masks, and which of them are shown.

import { colours } from "./palette.js";
import { decodeCrop, holds, outline } from "./rle.js";

/** One answer of the server over its picture. */
export class Scene {
  /**
   * @param {object} answer the server's, native format
   * @param {"segment" | "panoptic"} task
   * @param {ImageBitmap | null} picture null where the browser cannot show its format
   */
  constructor(answer, task, picture) {
    const [image] = answer.images;
    this.answer = answer;
    this.task = task;
    this.picture = picture;
    this.width = image.width;
    this.height = image.height;
    this.objects = (image.instances ?? image.segments).map((told, index) => ({
      ...told,
      index,
      crop: told.segmentation ? decodeCrop(told.segmentation) : null,
      shown: true,
    }));
    colours(this.objects).forEach((colour, index) => (this.objects[index].colour = colour));
    // Small ones lie over large ones, so that none is hidden.
    this.stacked = [...this.objects].sort((a, b) => b.area - a.area);
    this.version = 0; // counts what changes the look of the masks
    this.levels = new Map();
    this._mips = [];
  }

  /** The objects that are shown, in the answer's order. */
  get shown() {
    return this.objects.filter((object) => object.shown);
  }

  /** Show what passes; an object without a score (stuff) passes every threshold. */
  filter(threshold, hiddenCategories) {
    let changed = false;
    for (const object of this.objects) {
      const passes = (object.score ?? 1) >= threshold && !hiddenCategories.has(object.category_id);
      changed ||= passes !== object.shown;
      object.shown = passes;
    }
    if (changed) {
      this.version++;
      this.levels.clear();
    }
    return changed;
  }

  /** Return the smallest shown mask at a place of the picture, or null. */
  at(x, y) {
    for (let place = this.stacked.length - 1; place >= 0; place--) {
      const object = this.stacked[place];
      if (object.shown && object.crop && holds(object.crop, x, y)) return object;
    }
    return null;
  }

  /** Return an object's outline; made when it is first asked for. */
  outlineOf(object) {
    object.path ??= outline(object.crop);
    return object.path;
  }

  /** Return the picture at a scale of 1, 1/2, 1/4 …: the work of drawing is then the screen's. */
  pictureAt(step) {
    if (!this.picture) return null;
    this._mips[0] ??= this.picture;
    for (let level = 1; 2 ** level <= step; level++) {
      this._mips[level] ??= halved(this._mips[level - 1]);
    }
    return this._mips[Math.log2(step)];
  }

  /**
   * Return all shown masks as two canvases on the same grid: areas, and outlines inside them.
   * @param {number} step a power of two: every step-th pixel of the picture, both ways
   * @param {number} thickness of the outlines, in pixels of the canvases
   */
  masksAt(step, thickness) {
    const key = `${step} ${thickness}`;
    if (!this.levels.has(key)) {
      if (this.levels.size > 1) this.levels.clear(); // two at most are kept
      this.levels.set(key, this._paint(step, thickness));
    }
    return this.levels.get(key);
  }

  _paint(step, thickness) {
    const width = Math.ceil(this.width / step);
    const height = Math.ceil(this.height / step);
    const areas = new ImageData(width, height);
    const edges = new ImageData(width, height);
    for (const object of this.stacked) {
      if (object.shown && object.crop?.width) paint(object, step, thickness, areas, edges);
    }
    return { areas: toCanvas(areas), edges: toCanvas(edges) };
  }
}

/** Put one object's sampled mask into both layers. */
function paint({ crop, colour }, step, thickness, areas, edges) {
  const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  const [red, green, blue] = colour;
  const pack = (r, g, b) =>
    little ? (255 << 24) | (b << 16) | (g << 8) | r : (r << 24) | (g << 16) | (b << 8) | 255;
  const area = pack(red, green, blue) >>> 0;
  const edge = pack(...[red, green, blue].map((channel) => Math.round(channel * 0.75))) >>> 0;
  const areaPixels = new Uint32Array(areas.data.buffer);
  const edgePixels = new Uint32Array(edges.data.buffer);
  const middle = step >> 1;
  const { x, y, width, height, bits } = crop;
  const firstColumn = Math.max(0, Math.ceil((x - middle) / step));
  const lastColumn = Math.min(areas.width - 1, Math.floor((x + width - 1 - middle) / step));
  const firstRow = Math.max(0, Math.ceil((y - middle) / step));
  const lastRow = Math.min(areas.height - 1, Math.floor((y + height - 1 - middle) / step));
  const reach = step * thickness;
  for (let row = firstRow; row <= lastRow; row++) {
    const cropRow = row * step + middle - y;
    const above = cropRow - reach;
    const below = cropRow + reach;
    for (let column = firstColumn; column <= lastColumn; column++) {
      const cropColumn = column * step + middle - x;
      const at = cropRow * width + cropColumn;
      if (!bits[at]) continue;
      const place = row * areas.width + column;
      const inside =
        cropColumn - reach >= 0 &&
        cropColumn + reach < width &&
        above >= 0 &&
        below < height &&
        bits[at - reach] &&
        bits[at + reach] &&
        bits[above * width + cropColumn] &&
        bits[below * width + cropColumn];
      areaPixels[place] = area;
      edgePixels[place] = inside ? 0 : edge;
    }
  }
}

function toCanvas(data) {
  const canvas = new OffscreenCanvas(data.width, data.height);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

function halved(source) {
  const canvas = new OffscreenCanvas(Math.ceil(source.width / 2), Math.ceil(source.height / 2));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, source.width / 2, source.height / 2);
  return canvas;
}
