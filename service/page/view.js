// One canvas: picture and masks under one transform, so they cannot drift apart.

import { css, inkOn } from "./palette.js";

const MOST_ZOOM = 64; // screen pixels for one of the picture
const MOST_TAGS = 40;

/** Draws a scene, and turns wheel, pointers and keys into a place to look at. */
export class View {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(object: object | null) => void} onHover what lies under the pointer
   * @param {(object: object | null) => void} onPick what was clicked
   */
  constructor(canvas, onHover, onPick) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.scene = null;
    this.opacity = 0.5;
    this.names = true;
    this.hidden = false;
    this.hovered = null;
    this.picked = null;
    this.zoom = 1; // screen pixels (CSS) for one of the picture
    this.left = 0; // the picture's corner on the canvas, CSS pixels
    this.top = 0;
    this.fitted = true;
    this.onHover = onHover;
    this.onPick = onPick;
    this._pointers = new Map();
    this._travelled = 0;
    this._listen();
    new ResizeObserver(() => this._resize()).observe(canvas);
  }

  /** Show a scene; the place stays where its size is that of the one before. */
  show(scene) {
    const same =
      scene && this.scene && scene.width === this.scene.width && scene.height === this.scene.height;
    this.scene = scene;
    this.hovered = null;
    this.picked = null;
    if (!same) this.fit();
    this.draw();
  }

  /** Draw at the next frame. */
  draw() {
    this._frame ??= requestAnimationFrame(() => {
      this._frame = null;
      this._drawNow();
    });
  }

  /** Show the whole picture. */
  fit() {
    if (!this.scene) return;
    const { clientWidth, clientHeight } = this.canvas;
    this.zoom = Math.min(clientWidth / this.scene.width, clientHeight / this.scene.height, 8);
    this.left = (clientWidth - this.scene.width * this.zoom) / 2;
    this.top = (clientHeight - this.scene.height * this.zoom) / 2;
    this.fitted = true;
    this.draw();
  }

  /** Zoom by a factor about a point of the canvas (CSS pixels); its middle where none is given. */
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    if (!this.scene) return;
    const least = 0.5 * Math.min(1, this.canvas.clientWidth / this.scene.width);
    const zoom = Math.min(MOST_ZOOM, Math.max(least, this.zoom * factor));
    this.left = x - (x - this.left) * (zoom / this.zoom);
    this.top = y - (y - this.top) * (zoom / this.zoom);
    this.zoom = zoom;
    this.fitted = false;
    this._keepInSight();
    this.draw();
  }

  /** Move the picture by CSS pixels. */
  panBy(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this._keepInSight();
    this.draw();
  }

  /** Move the picture so that an object is in sight. */
  reveal(object) {
    const [x, y, width, height] = object.bbox;
    const { clientWidth, clientHeight } = this.canvas;
    const left = x * this.zoom + this.left;
    const top = y * this.zoom + this.top;
    const seen =
      left + width * this.zoom > 0 &&
      top + height * this.zoom > 0 &&
      left < clientWidth &&
      top < clientHeight;
    if (!seen) {
      this.left = clientWidth / 2 - (x + width / 2) * this.zoom;
      this.top = clientHeight / 2 - (y + height / 2) * this.zoom;
    }
    this.draw();
  }

  /** Return the place of the picture under a point of the canvas (CSS pixels). */
  toPicture(x, y) {
    return [(x - this.left) / this.zoom, (y - this.top) / this.zoom];
  }

  _resize() {
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (this.fitted) this.fit();
    this._drawNow();
  }

  _keepInSight() {
    const { clientWidth, clientHeight } = this.canvas;
    const margin = 48;
    const width = this.scene.width * this.zoom;
    const height = this.scene.height * this.zoom;
    this.left = Math.min(clientWidth - margin, Math.max(margin - width, this.left));
    this.top = Math.min(clientHeight - margin, Math.max(margin - height, this.top));
  }

  _drawNow() {
    const { context, canvas, scene } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!scene) return;
    const ratio = window.devicePixelRatio;
    const scale = this.zoom * ratio;
    // Whole device pixels: a fraction would blur what is magnified.
    const left = Math.round(this.left * ratio);
    const top = Math.round(this.top * ratio);
    context.setTransform(scale, 0, 0, scale, left, top);
    // Enlarged pixels stay crisp; what is made smaller is made smaller from the next finer level.
    context.imageSmoothingEnabled = scale < 1;
    let step = 1;
    while (step * 2 * scale <= 1) step *= 2;
    const picture = scene.pictureAt(step);
    if (picture && step > 1) {
      context.drawImage(picture, 0, 0, picture.width * step, picture.height * step);
    } else if (picture) context.drawImage(picture, 0, 0, scene.width, scene.height);
    else {
      context.fillStyle = "#777";
      context.fillRect(0, 0, scene.width, scene.height);
    }
    if (this.hidden) return;
    const { areas, edges } = scene.masksAt(step, scale < 1 ? 2 : 1);
    const size = [areas.width * step, areas.height * step];
    context.globalAlpha = this.opacity;
    context.drawImage(areas, 0, 0, ...size);
    context.globalAlpha = Math.min(1, this.opacity * 2);
    context.drawImage(edges, 0, 0, ...size);
    context.globalAlpha = 1;
    for (const object of new Set([this.picked, this.hovered])) {
      if (object?.shown && object.crop?.width) this._emphasise(object, scale);
    }
    if (this.names) this._drawTags(scale, left, top, ratio);
  }

  _emphasise(object, scale) {
    const path = this.scene.outlineOf(object);
    const { context } = this;
    context.lineCap = "square";
    for (const [width, colour] of [[5, "#000"], [2.5, "#fff"]]) {
      context.lineWidth = (width * window.devicePixelRatio) / scale;
      context.strokeStyle = colour;
      context.stroke(path);
    }
  }

  _drawTags(scale, left, top, ratio) {
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.font = `${13 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const line = 20 * ratio;
    const taken = [];
    const marked = [this.hovered, this.picked].filter(Boolean);
    const rest = this.scene.shown.filter((object) => !marked.includes(object));
    for (const object of [...new Set(marked), ...rest.slice(0, MOST_TAGS)]) {
      const [x, y] = object.bbox;
      const text = object.category + (object.score == null ? "" : ` ${percent(object.score)}`);
      const width = context.measureText(text).width + 10 * ratio;
      let tagLeft = Math.max(0, Math.min(x * scale + left, canvas.width - width));
      let tagTop = y * scale + top - line;
      const [, , boxWidth, boxHeight] = object.bbox;
      const inSight =
        x * scale + left < canvas.width &&
        y * scale + top < canvas.height &&
        (x + boxWidth) * scale + left > 0 &&
        (y + boxHeight) * scale + top > 0;
      if (!inSight) continue;
      tagTop = Math.max(0, tagTop);
      const box = { left: tagLeft, top: tagTop, right: tagLeft + width, bottom: tagTop + line };
      // A tag that would cover another is left out, unless its object is pointed at.
      if (!marked.includes(object) && taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      context.fillStyle = css(object.colour);
      context.fillRect(tagLeft, tagTop, width, line);
      context.fillStyle = inkOn(object.colour);
      context.fillText(text, tagLeft + 5 * ratio, tagTop + line / 2);
    }
  }

  _listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
      this.zoomBy(Math.exp(-pixels / (event.ctrlKey ? 100 : 400)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this._pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      if (this._pointers.size === 1) this._travelled = 0;
    });
    canvas.addEventListener("pointermove", (event) => this._move(event));
    const up = (event) => {
      const known = this._pointers.delete(event.pointerId);
      if (known && this._travelled < 5 && event.type === "pointerup") {
        this.onPick(this._objectAt(event));
      }
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.onHover(null));
    canvas.addEventListener("dblclick", () => this.fit());
  }

  _move(event) {
    const before = this._pointers.get(event.pointerId);
    if (!before) {
      this.onHover(this._objectAt(event));
      return;
    }
    const now = [event.offsetX, event.offsetY];
    const moved = [now[0] - before[0], now[1] - before[1]];
    this._travelled += Math.hypot(...moved);
    if (this._pointers.size === 2) {
      const [other] = [...this._pointers].filter(([id]) => id !== event.pointerId);
      const apart = (point) => Math.hypot(point[0] - other[1][0], point[1] - other[1][1]);
      const middle = [(now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2];
      this.panBy(moved[0] / 2, moved[1] / 2);
      if (apart(before) > 0) this.zoomBy(apart(now) / apart(before), ...middle);
    } else {
      this.panBy(...moved);
    }
    this._pointers.set(event.pointerId, now);
  }

  _objectAt(event) {
    if (!this.scene || this.hidden) return null;
    return this.scene.at(...this.toPicture(event.offsetX, event.offsetY));
  }
}

/** Return a score as people read it. */
export const percent = (score) => `${Math.round(score * 100)} %`;

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
