// A mask is squares of bits, the same that travel to the server and back: see squares.py.

export const SIDE = 512; // pixels
const BYTES = (SIDE * SIDE) / 8;
const RECORD = 4 + BYTES;

export const keyOf = (column, row) => row * 65536 + column;
export const placeOf = (key) => [key % 65536, Math.floor(key / 65536)];

function makeCanvas() {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) };
}

const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) =>
  [...byte.toString(2)].filter((digit) => digit === "1").length,
);

/** A part of a mask that does not change any more; its picture is drawn when it is needed. */
export class Square {
  constructor(bits) {
    this.bits = bits;
    this.count = bits.reduce((sum, byte) => sum + BITS_SET[byte], 0);
    this.drawn = null;
  }

  get picture() {
    this.drawn ??= this.draw();
    return this.drawn.canvas;
  }

  draw() {
    const drawn = makeCanvas();
    const image = new ImageData(SIDE, SIDE);
    const pixels = new Uint32Array(image.data.buffer);
    for (let n = 0; n < BYTES; n++) {
      const byte = this.bits[n];
      for (let bit = 0; byte && bit < 8; bit++) {
        if (byte & (128 >> bit)) pixels[8 * n + bit] = 0xffffffff;
      }
    }
    drawn.context.putImageData(image, 0, 0);
    return drawn;
  }

  /** Forget the picture: bits are a thirtieth of its memory. */
  rest() {
    this.drawn = null;
  }
}

/** A square that is being painted on; starts as a copy of `square`, if there is one. */
export class Sketch {
  constructor(square) {
    Object.assign(this, makeCanvas());
    if (square) this.context.drawImage(square.picture, 0, 0);
  }

  get picture() {
    return this.canvas;
  }

  /** Return it as a `Square`, cut at half where the brush was soft; null where it is empty. */
  finish(width, height) {
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE);
    const bits = new Uint8Array(BYTES);
    let any = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0, at = 4 * y * SIDE + 3; x < width; x++, at += 4) {
        if (data[at] >= 128) bits[(y * SIDE + x) >> 3] |= 128 >> (x & 7);
      }
    }
    for (const byte of bits) any |= byte;
    return any ? new Square(bits) : null;
  }
}

/** Return the bytes of the squares of `keys`, empty where `squares` has none. */
export function encode(squares, keys) {
  const bytes = new Uint8Array(keys.length * RECORD);
  const view = new DataView(bytes.buffer);
  keys.forEach((key, n) => {
    const [column, row] = placeOf(key);
    view.setUint16(n * RECORD, column, true);
    view.setUint16(n * RECORD + 2, row, true);
    const square = squares.get(key);
    if (square) bytes.set(square.bits, n * RECORD + 4);
  });
  return bytes;
}

/** Return the squares in `bytes` by their keys. */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const squares = new Map();
  for (let at = 0; at + RECORD <= bytes.length; at += RECORD) {
    const key = keyOf(view.getUint16(at, true), view.getUint16(at + 2, true));
    squares.set(key, new Square(bytes.slice(at + 4, at + RECORD)));
  }
  return squares;
}

/** Return two masks as one. */
export function unite(one, other) {
  const squares = new Map(one);
  for (const [key, square] of other) {
    const own = squares.get(key);
    squares.set(key, own ? new Square(own.bits.map((byte, n) => byte | square.bits[n])) : square);
  }
  return squares;
}
