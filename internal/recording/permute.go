package recording

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	digitAlphabet = "0123456789"
	hexAlphabet   = "0123456789abcdef"
)

// rounds of the network; four are the least that theory asks for, more are needed where the halves are short.
const rounds = 10

func always(string) bool { return true }

// permute replaces a text of an alphabet by another of the same length, under the key. No two texts become one, which a hash of a few
// digits could not promise. The result is fit, as the text itself must be: it is replaced again until it is, which always ends, at the
// latest with the text itself, since a permutation comes round.
func (p *Pseudonyms) permute(text, alphabet string, fit func(string) bool) string {
	for {
		text = p.once(text, alphabet)
		if fit(text) {
			return text
		}
	}
}

func (p *Pseudonyms) once(text, alphabet string) string {
	digits := make([]byte, len(text))
	for i := range text {
		digits[i] = byte(strings.IndexByte(alphabet, text[i])) //nolint:gosec // an index of sixteen
	}
	if len(digits) == 1 {
		digits[0] = p.shuffled(len(alphabet))[digits[0]]
	} else {
		digits = p.feistel(digits, len(alphabet))
	}
	for i := range digits {
		digits[i] = alphabet[digits[i]]
	}
	return string(digits)
}

// shuffled are the digits of a radix in an order of the key's.
func (p *Pseudonyms) shuffled(radix int) []byte {
	order := make([]byte, radix)
	for i := range order {
		order[i] = byte(i)
	}
	slices.SortFunc(order, func(a, b byte) int {
		return bytes.Compare(p.sum("digit", string([]byte{byte(radix), a})), p.sum("digit", string([]byte{byte(radix), b}))) //nolint:gosec // a radix
	})
	return order
}

// feistel is a Feistel network: each round adds to one half, digit by digit, what the key makes of the other.
func (p *Pseudonyms) feistel(digits []byte, radix int) []byte {
	left, right := slices.Clone(digits[:len(digits)/2]), slices.Clone(digits[len(digits)/2:])
	for round := range rounds {
		use := fmt.Sprintf("permute %d %d %d", radix, len(digits), round)
		for i, b := range p.stream(use, string(right), len(left)) {
			left[i] = byte((int(left[i]) + int(b)) % radix) //nolint:gosec // a digit
		}
		left, right = right, left
	}
	return append(left, right...)
}
