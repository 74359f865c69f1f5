
// The test's own: a call a line, what was sold a line.
for (const line of require("node:fs").readFileSync(0, "utf8").split("\n").slice(0, -1)) {
  const [product, code] = line.split("\t");
  try {
    const sold = readCode(process.argv[2], product, code);
    console.log(["number", "last_day", "seats", "edition", "name"].map((key) => sold[key] ?? "").join("|"));
  } catch {
    console.log("refused");
  }
}
