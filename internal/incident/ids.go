package incident

import (
	"slices"
	"strings"
)

// idLength and dashes are how long an id of an event is, and how many parts of it are joined.
const (
	idLength = 36
	dashes   = 4
)

// IDs are the words of mentions that may be the id of an event.
func IDs(mentions []string) []string {
	all := slices.DeleteFunc([]string(wordsOf(mentions)), func(word string) bool {
		return len(word) != idLength || strings.Count(word, "-") != dashes || strings.Trim(word, digits+"abcdef-") != ""
	})
	return all[:min(len(all), names)]
}
