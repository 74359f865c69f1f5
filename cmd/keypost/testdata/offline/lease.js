
// The test's own: a call a line, what was bought a line.
(async () => {
  for (const line of require("node:fs").readFileSync(0, "utf8").split("\n").slice(0, -1)) {
    const [product, fingerprint, now, lease] = line.split("\t");
    try {
      const said = await readLease(process.argv.slice(2), product, fingerprint, lease, +now);
      console.log(said.sub + "|" + said.ent.limit);
    } catch {
      console.log("refused");
    }
  }
})();
