// What a person takes away: JSON, pictures, and the line that does the same from a shell.

import { css } from "./palette.js";

/** Save a blob under a name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Return the server's answer with the objects that are shown. */
export function nativeJson(scene) {
  const [image] = scene.answer.images;
  const list = image.instances ? "instances" : "segments";
  const shown = image[list].filter((_, index) => scene.objects[index].shown);
  return json({ ...scene.answer, images: [{ ...image, [list]: shown }] });
}

/**
 * Return the objects shown in COCO's shape: a results list, or a panoptic annotation.
 * @param {number} imageId the picture's id in the data set
 */
export function cocoJson(scene, imageId, name) {
  if (scene.task === "segment") {
    return json(
      scene.shown.map(({ category_id, bbox, score, segmentation }) => ({
        image_id: imageId,
        category_id,
        bbox,
        score,
        segmentation,
      })),
    );
  }
  const segments_info = scene.shown.map(({ id, category_id, area, bbox }) => ({
    id,
    category_id,
    area,
    bbox,
    iscrowd: 0,
  }));
  return json({ annotations: [{ image_id: imageId, file_name: name, segments_info }] });
}

/** Return COCO's panoptic PNG of the segments shown: id = R + 256 G + 65536 B, 0 is void. */
export function panopticPng(scene) {
  const canvas = new OffscreenCanvas(scene.width, scene.height);
  const context = canvas.getContext("2d");
  const data = context.createImageData(scene.width, scene.height);
  const pixels = data.data;
  for (let place = 3; place < pixels.length; place += 4) pixels[place] = 255;
  for (const { id, crop } of scene.shown) {
    eachPixel(crop, scene.width, (place) => {
      pixels[4 * place] = id & 255;
      pixels[4 * place + 1] = (id >> 8) & 255;
      pixels[4 * place + 2] = id >> 16;
    });
  }
  context.putImageData(data, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return the picture with what is shown drawn over it. */
export function overlayPng(scene, opacity) {
  const canvas = new OffscreenCanvas(scene.width, scene.height);
  const context = canvas.getContext("2d");
  if (scene.picture) context.drawImage(scene.picture, 0, 0, scene.width, scene.height);
  const { areas, edges } = scene.masksAt(1, 2);
  context.globalAlpha = opacity;
  context.drawImage(areas, 0, 0);
  context.globalAlpha = 1;
  context.drawImage(edges, 0, 0);
  const size = Math.max(12, Math.round(Math.max(scene.width, scene.height) / 64));
  context.font = `${size}px system-ui, sans-serif`;
  context.textBaseline = "top";
  context.lineWidth = size / 5;
  context.lineJoin = "round";
  for (const { bbox, category, colour } of scene.shown) {
    context.strokeStyle = "#000";
    context.strokeText(category, bbox[0] + 2, bbox[1] + 2);
    context.fillStyle = css(colour);
    context.fillText(category, bbox[0] + 2, bbox[1] + 2);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return one object cut out of the picture, transparent around it. */
export function cutoutPng(scene, { crop }) {
  const canvas = new OffscreenCanvas(crop.width, crop.height);
  const context = canvas.getContext("2d");
  const scale = [scene.picture.width / scene.width, scene.picture.height / scene.height];
  context.drawImage(
    scene.picture,
    crop.x * scale[0],
    crop.y * scale[1],
    crop.width * scale[0],
    crop.height * scale[1],
    0,
    0,
    crop.width,
    crop.height,
  );
  const data = context.getImageData(0, 0, crop.width, crop.height);
  crop.bits.forEach((bit, place) => {
    if (!bit) data.data[4 * place + 3] = 0;
  });
  context.putImageData(data, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return a line for a shell that asks the same. */
export function asCurl(address, file) {
  return (
    `curl -H 'Content-Type: application/octet-stream' --data-binary @${quoted(file)} ` +
    quoted(address)
  );
}

/** Return a Python program that asks the same. */
export function asPython(address, file) {
  return [
    "import httpx",
    "from pycocotools import mask",
    "",
    "answer = httpx.post(",
    `    ${JSON.stringify(address)},`,
    `    content=open(${JSON.stringify(file)}, "rb").read(),`,
    '    headers={"Content-Type": "application/octet-stream"},',
    "    timeout=60,",
    ").raise_for_status().json()",
    'found = answer["images"][0]',
    'for one in found.get("instances") or found.get("segments"):',
    '    pixels = mask.decode(one["segmentation"])  # (height, width), 0 or 1',
    '    print(one["category"], one.get("score"), pixels.sum())',
    "",
  ].join("\n");
}

const json = (value) => new Blob([JSON.stringify(value)], { type: "application/json" });
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function eachPixel(crop, pictureWidth, visit) {
  const { x, y, width, bits } = crop;
  bits.forEach((bit, place) => {
    if (bit) visit((y + Math.floor(place / width)) * pictureWidth + x + (place % width));
  });
}
