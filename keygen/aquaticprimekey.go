package keygen

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// AquaticPrime's software knows the modulus alone, and takes this for the public
// exponent (AquaticPrime.m, setKey:privateKey:).
const aquaticPrimeExponent = 3

// Sizes of RSA keys, in bits. AquaticPrime Developer makes keys of 1024.
const (
	minRSA = 1024
	maxRSA = 4096
)

// parseAquaticPrimeKey reads a key file of AquaticPrime Developer or a PEM file.
func parseAquaticPrimeKey(file []byte) (*rsa.PrivateKey, error) {
	var key *rsa.PrivateKey
	var err error
	switch {
	case bytes.HasPrefix(file, []byte("bplist")):
		return nil, errors.New("it is a binary property list: turn it into XML, with plutil -convert xml1 FILE")
	case bytes.Contains(file, []byte("<plist")):
		key, err = developerKey(file)
	default:
		key, err = parseRSA(file)
	}
	if err != nil {
		return nil, err
	}
	if size := key.N.BitLen(); size < minRSA || size > maxRSA {
		return nil, fmt.Errorf("the RSA key has %d bits: it must have from %d to %d", size, minRSA, maxRSA)
	}
	if key.E != aquaticPrimeExponent {
		return nil, fmt.Errorf("the RSA key's public exponent is %d, and AquaticPrime's is %d: make a key with openssl genrsa -3 1024", key.E, aquaticPrimeExponent)
	}
	// Signing checks its own result: numbers that do not belong together make none.
	if _, err := rsa.SignPKCS1v15(nil, key, crypto.Hash(0), make([]byte, 20)); err != nil {
		return nil, errors.New("the RSA key is damaged: its public and its private half do not belong together")
	}
	return key, nil
}

// parseRSA reads the first private key of a PEM file.
func parseRSA(file []byte) (*rsa.PrivateKey, error) {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil, errors.New("it is neither a key file of AquaticPrime Developer nor an RSA private key in PEM")
		}
		file = rest
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the key is encrypted: take the passphrase off, with openssl rsa -in FILE -out NEWFILE")
		case block.Type == "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the RSA key is damaged")
			}
			return key, nil
		case block.Type == "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if key, ok := key.(*rsa.PrivateKey); ok && err == nil {
				return key, nil
			}
			return nil, errors.New("it is not an RSA key, or damaged")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errors.New("it is not an RSA key")
		}
	}
}

// developerKey reads what AquaticPrime Developer keeps of a product
// (KeyController.m, saveKeysForProduct:): a property list with the modulus as
// Public Key and the private exponent as Private Key, in bytes. The digits that
// it shows on its screen, in strings, do too, under Key and Private Key as its
// scripts call them.
func developerKey(file []byte) (*rsa.PrivateKey, error) {
	values, err := propertyListValues(file)
	if err != nil {
		return nil, fmt.Errorf("it is no property list in XML: %w", err)
	}
	n, d := values["Public Key"], values["Private Key"]
	if n == nil {
		n = values["Key"]
	}
	if n == nil || d == nil {
		return nil, errors.New("the property list has no Public Key and Private Key with bytes or hexadecimal digits")
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).SetBytes(n), E: aquaticPrimeExponent}, D: new(big.Int).SetBytes(d)}
	if key.N.Bit(0) == 0 || key.D.Sign() == 0 || key.D.Cmp(key.N) >= 0 {
		return nil, errors.New("the RSA key is damaged")
	}
	return key, nil
}

// propertyListValues are the data of a property list, and those of its strings
// that are hexadecimal digits, with 0x or without.
func propertyListValues(file []byte) (map[string][]byte, error) {
	values := map[string][]byte{}
	d := xml.NewDecoder(bytes.NewReader(file))
	key := ""
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, errors.New("it is not well formed") // the error of encoding/xml may tell what is in it
		}
		start, ok := t.(xml.StartElement)
		if !ok || start.Name.Local != "key" && start.Name.Local != "data" && start.Name.Local != "string" {
			continue
		}
		var text string
		if err := d.DecodeElement(&text, &start); err != nil {
			return nil, errors.New("it is not well formed")
		}
		digits := strings.Join(strings.Fields(text), "")
		switch start.Name.Local {
		case "key":
			key = strings.TrimSpace(text)
			continue
		case "data":
			if b, err := base64.StdEncoding.DecodeString(digits); err == nil {
				values[key] = b
			}
		case "string":
			digits = strings.TrimPrefix(strings.ToLower(digits), "0x")
			if b, err := hex.DecodeString(strings.Repeat("0", len(digits)%2) + digits); err == nil && len(b) > 0 {
				values[key] = b
			}
		}
	}
}
