package incident

import (
	"slices"

	"github.com/google/uuid"
)

// IDs are the words of mentions that may be the id of an event.
func IDs(mentions []string) []string {
	all := slices.DeleteFunc([]string(wordsOf(mentions)), func(word string) bool { return len(word) != 36 || uuid.Validate(word) != nil })
	return all[:min(len(all), names)]
}
