// A module of its own, so that a vendor's program takes in nothing else of
// Keypost's. It requires nothing. A release has a tag activation/client/vX.Y.Z.
module github.com/keypost/keypost/activation/client

go 1.21
