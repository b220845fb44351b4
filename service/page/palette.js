// Colours that stay apart under the common kinds of colour blindness: Okabe and Ito's set
// ("Color Universal Design", 2008), one for each category in a picture, lighter and darker for
// its siblings. Never colour alone: outlines, tags and the list say the same.

const HUES = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];
const SHADES = [0, 0.3, -0.3, 0.5, -0.45];

/**
 * Give every object a colour.
 * @param {{category: string}[]} objects
 * @returns {number[][]} [red, green, blue] for each
 */
export function colours(objects) {
  const places = new Map();
  const siblings = new Map();
  return objects.map(({ category }) => {
    if (!places.has(category)) places.set(category, places.size);
    const number = siblings.get(category) ?? 0;
    siblings.set(category, number + 1);
    const place = places.get(category);
    const shade = SHADES[(number + Math.floor(place / HUES.length)) % SHADES.length];
    return HUES[place % HUES.length].map((channel) =>
      Math.round(shade < 0 ? channel * (1 + shade) : channel + (255 - channel) * shade),
    );
  });
}

/** Return a colour as CSS writes it. */
export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Return black or white, whichever reads better on a colour (WCAG 2 contrast). */
export function inkOn(colour) {
  const [red, green, blue] = colour.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#fff" : "#000";
}
