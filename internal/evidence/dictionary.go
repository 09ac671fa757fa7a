package evidence

import _ "embed"

// dictionary is what evidence looks like, so that words which all of it has take no room. It is part of the form: whoever changes a byte of it
// has to give the form another number, and to keep this one for what was written before.
//
//go:embed dictionary.json
var dictionary []byte
