// COCO's compressed run lengths to crops: column-major runs of the whole picture in, a tight
// row-major crop of bytes out. No mask of the whole picture is ever made.

/**
 * Read the counts of a compressed run-length string.
 * Each number is written in groups of five bits, lowest first, 48 added; from the third on it
 * is the difference to the one two before (pycocotools' rleToString).
 * @param {string} text
 * @returns {number[]} lengths of runs, background first
 */
export function readCounts(text) {
  const counts = [];
  for (let place = 0; place < text.length; ) {
    let value = 0;
    let shift = 0;
    let group;
    do {
      if (place >= text.length) throw new Error("a mask's run lengths end too early");
      group = text.charCodeAt(place++) - 48;
      value += (group & 31) * 2 ** shift;
      shift += 5;
    } while (group & 32);
    if (group & 16) value -= 2 ** shift;
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return counts;
}

/**
 * Decode a mask to a crop of its own tight box.
 * @param {{size: [number, number], counts: string}} rle
 * @returns {{x: number, y: number, width: number, height: number, bits: Uint8Array}}
 *   x, y: of the crop in the picture; bits: row-major, 0 or 1. An empty mask has width 0.
 */
export function decodeCrop(rle) {
  const [height] = rle.size;
  const runs = []; // start, end of each run of the object, in column-major places
  let place = 0;
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  readCounts(rle.counts).forEach((count, index) => {
    const end = place + count;
    if (index % 2 && count) {
      runs.push(place, end);
      const [first, last] = [Math.floor(place / height), Math.floor((end - 1) / height)];
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = Math.min(top, first === last ? place % height : 0);
      bottom = Math.max(bottom, first === last ? (end - 1) % height : height - 1);
    }
    place = end;
  });
  if (right < 0) return { x: 0, y: 0, width: 0, height: 0, bits: new Uint8Array(0) };
  const crop = { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  const bits = new Uint8Array(crop.width * crop.height);
  for (let run = 0; run < runs.length; run += 2) {
    let column = Math.floor(runs[run] / height);
    let row = runs[run] - column * height;
    for (let left_over = runs[run + 1] - runs[run]; left_over > 0; column++, row = 0) {
      const end = Math.min(height, row + left_over);
      left_over -= end - row;
      let at = (row - top) * crop.width + column - left;
      for (; row < end; row++, at += crop.width) bits[at] = 1;
    }
  }
  return { ...crop, bits };
}

/** Return whether a pixel of the picture is in the crop's mask. */
export function holds(crop, x, y) {
  const [column, row] = [Math.floor(x) - crop.x, Math.floor(y) - crop.y];
  if (column < 0 || row < 0 || column >= crop.width || row >= crop.height) return false;
  return crop.bits[row * crop.width + column] === 1;
}

/**
 * Return the outline of a crop's mask along the edges of its pixels, in pixels of the picture.
 * @returns {Path2D} closed or not, it is meant to be stroked
 */
export function outline(crop) {
  const path = new Path2D();
  const { x, y, width, height, bits } = crop;
  const at = (column, row) =>
    column >= 0 && row >= 0 && column < width && row < height ? bits[row * width + column] : 0;
  // Edges that go on are drawn as one line: first those between rows, then those between columns.
  for (let row = 0; row <= height; row++) {
    for (let column = 0, start = -1; column <= width; column++) {
      const edge = column < width && at(column, row - 1) !== at(column, row);
      if (edge && start < 0) start = column;
      if (!edge && start >= 0) {
        path.moveTo(x + start, y + row);
        path.lineTo(x + column, y + row);
        start = -1;
      }
    }
  }
  for (let column = 0; column <= width; column++) {
    for (let row = 0, start = -1; row <= height; row++) {
      const edge = row < height && at(column - 1, row) !== at(column, row);
      if (edge && start < 0) start = row;
      if (!edge && start >= 0) {
        path.moveTo(x + column, y + start);
        path.lineTo(x + column, y + row);
        start = -1;
      }
    }
  }
  return path;
}
