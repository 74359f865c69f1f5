
// The test's own: a call a line, what was sold a line.
func shown<T>(_ value: T?) -> String { value.map { "\($0)" } ?? "" }

while let line = readLine() {
  let call = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
  if let sold = readCode(publicKey: CommandLine.arguments[1], product: call[0], code: call[1]) {
    print([sold.number, shown(sold.lastDay), shown(sold.seats), shown(sold.edition), shown(sold.name)].joined(separator: "|"))
  } else {
    print("refused")
  }
}
