
// The test's own: a call a line.
for (const line of require("node:fs").readFileSync(0, "utf8").split("\n").slice(0, -1)) {
  const [key, product, number, symbols, code] = line.split("\t");
  console.log(isCodeOf(key, product, number, code, +symbols));
}
