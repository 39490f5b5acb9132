// Conway's Game of Life on a torus: arguments, standard input, typed arrays, the garbage collector.
//
// usage: life GENERATIONS < BOARD
function readBoard(): string[] {
  const bytes = new Uint8Array(65536);
  let length = 0;
  while (length < bytes.length) {
    const n = process.stdin.read(bytes.buffer, length);
    if (n <= 0) break;
    length += n;
  }
  return String.UTF8.decodeUnsafe(bytes.dataStart, length).trim().split("\n");
}

function step(cells: StaticArray<u8>, width: i32, height: i32): StaticArray<u8> {
  const next = new StaticArray<u8>(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let neighbours = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          if (dx != 0 || dy != 0) {
            neighbours += cells[((y + dy + height) % height) * width + ((x + dx + width) % width)];
          }
        }
      }
      next[y * width + x] = u8(neighbours == 3 || (neighbours == 2 && cells[y * width + x] != 0));
    }
  }
  return next;
}

if (process.argv.length != 2) {
  console.error("usage: life GENERATIONS < BOARD");
  process.exit(64);
}
const generations = i32(parseInt(process.argv[1]));
const board = readBoard();
const height = board.length;
const width = board[0].length;

let cells = new StaticArray<u8>(width * height);
for (let y = 0; y < height; y++) {
  for (let x = 0; x < width; x++) cells[y * width + x] = u8(x < board[y].length && board[y].charCodeAt(x) == 35);
}
for (let i = 0; i < generations; i++) cells = step(cells, width, height);

let alive = 0;
for (let y = 0; y < height; y++) {
  let line = "";
  for (let x = 0; x < width; x++) {
    const cell = cells[y * width + x];
    alive += cell;
    line += cell != 0 ? "#" : ".";
  }
  console.log(line);
}
console.log(alive.toString() + " cells after " + generations.toString() + " generations");
