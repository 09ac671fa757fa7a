package sinktest

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Canary is in every secret of every test. Nothing that is printed, logged, stored or shown may hold it: hack/testreport looks at what tests
// print, and the specs of test/integration at everything else.
const Canary = "canary-7d1f3b"

// Secret is a secret of a test, which shows wherever it leaks.
func Secret(name string) string { return Canary + "-" + name }

// Leaks tells whether a text holds a secret of a test, as it is, in hexadecimal or in base64, wherever in a word it begins.
func Leaks(text string) bool {
	if strings.Contains(text, Canary) || strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(Canary))) {
		return true
	}
	for shift := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + Canary))
		// The first and the last characters depend on what stands before and behind it.
		if strings.Contains(text, encoded[shift+1:len(encoded)-2]) {
			return true
		}
	}
	return false
}
