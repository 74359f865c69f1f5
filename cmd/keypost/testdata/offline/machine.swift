
// The test's own: a call a line.
while let line = readLine() {
  let call = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
  print(isCodeOf(key: call[0], product: call[1], number: call[2], code: call[4], symbols: Int(call[3])!))
}
