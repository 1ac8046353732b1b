/**
 * Makes a PNG small: 256 colours instead of 16 million, which a picture of text and flat areas does not miss.
 *
 * Pure. Reads what Chromium writes (8 bits a channel, RGB or RGBA, not interlaced) and no other kind.
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const COLOURS = 256;

interface Picture {
  width: number;
  height: number;
  /** Three bytes a pixel. */
  rgb: Uint8Array;
}

export function smaller(png: Buffer): Buffer {
  const { width, height, rgb } = decode(png);
  const { palette, indexes } = quantise(rgb);
  const rows = Buffer.alloc((width + 1) * height); // each begins with filter 0
  for (let y = 0; y < height; y++)
    rows.set(indexes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8); // 8 bits, palette
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function decode(png: Buffer): Picture {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const bytes = { 2: 3, 6: 4 }[png[25] ?? 0];
  if (png[24] !== 8 || bytes === undefined || png[28] !== 0)
    throw new Error('not a PNG of the kind expected');
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const pixels = unfilter(inflateSync(Buffer.concat(data)), width * bytes, height, bytes);
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) rgb.set(pixels.subarray(i * bytes, i * bytes + 3), i * 3);
  return { width, height, rgb };
}

/** Undoes the filters of the PNG specification, 9.2. */
function unfilter(rows: Buffer, rowBytes: number, height: number, pixelBytes: number): Uint8Array {
  const out = new Uint8Array(rowBytes * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (rowBytes + 1)];
    for (let x = 0; x < rowBytes; x++) {
      const at = y * rowBytes + x;
      const left = x < pixelBytes ? 0 : (out[at - pixelBytes] as number);
      const above = y === 0 ? 0 : (out[at - rowBytes] as number);
      const corner = x < pixelBytes || y === 0 ? 0 : (out[at - rowBytes - pixelBytes] as number);
      const guesses = [0, left, above, (left + above) >> 1, paeth(left, above, corner)];
      out[at] = (rows[at + y + 1] as number) + (guesses[filter ?? 0] as number);
    }
  }
  return out;
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const [byLeft, byAbove, byCorner] = [left, above, corner].map((value) => Math.abs(guess - value)) as [
    number,
    number,
    number,
  ];
  if (byLeft <= byAbove && byLeft <= byCorner) return left;
  return byAbove <= byCorner ? above : corner;
}

/** The most frequent colours, and for each pixel the nearest of them. */
function quantise(rgb: Uint8Array): { palette: Uint8Array; indexes: Uint8Array } {
  const colourAt = (i: number) =>
    ((rgb[i * 3] as number) << 16) | ((rgb[i * 3 + 1] as number) << 8) | (rgb[i * 3 + 2] as number);
  const pixels = rgb.length / 3;
  const counts = new Map<number, number>();
  for (let i = 0; i < pixels; i++) counts.set(colourAt(i), (counts.get(colourAt(i)) ?? 0) + 1);
  const kept = [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, COLOURS)
    .map(([colour]) => colour);
  const nearest = new Map([...counts.keys()].map((colour) => [colour, indexOfNearest(kept, colour)]));
  const indexes = new Uint8Array(pixels);
  for (let i = 0; i < pixels; i++) indexes[i] = nearest.get(colourAt(i)) ?? 0;
  return { palette: Uint8Array.from(kept.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255])), indexes };
}

function indexOfNearest(kept: readonly number[], colour: number): number {
  const distance = (other: number) =>
    [16, 8, 0].reduce((sum, shift) => sum + (((colour >> shift) & 255) - ((other >> shift) & 255)) ** 2, 0);
  let best = 0;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const [i, other] of kept.entries()) {
    const d = distance(other);
    if (d < bestDistance) [best, bestDistance] = [i, d];
  }
  return best;
}
