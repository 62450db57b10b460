import decodeQR from 'qr/decode.js'

/** Pixels of a module's side: as few as a reader needs. */
const SIDE = 4

/** Half blocks: which of the upper and the lower module of a character are light. */
const LIGHT: Readonly<Record<string, readonly [upper: boolean, lower: boolean]>> = {
  '█': [true, true],
  '▀': [true, false],
  '▄': [false, true],
  ' ': [false, false],
}

/** What the QR code in the output of a terminal says. @throws Error if there is none that can be read */
export function readQrCode(output: string): string {
  const lines = output.split(/\r?\n/).filter((line) => /^[█▀▄ ]*[█▀▄][█▀▄ ]*$/.test(line))
  const rows = lines.flatMap((line) => [0, 1].map((half) => [...line].map((it) => LIGHT[it][half])))
  const [width, height] = [(rows[0]?.length ?? 0) * SIDE, rows.length * SIDE]
  const data = new Uint8Array(width * height * 4).fill(0xff)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (!rows[Math.floor(y / SIDE)][Math.floor(x / SIDE)])
        data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3)
  return decodeQR({ width, height, data }, { timeLimit: 10_000 })
}
