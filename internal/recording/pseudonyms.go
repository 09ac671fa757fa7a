package recording

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Pseudonyms replace names, each always by the same one under one key:
//
//	a name                 twelve letters, none of which is a hex digit: hash of the name
//	an image               the parts of its repository, its tag and its digest, each by itself
//	a SHA or a digest      another one of the same length, by a permutation, so that no two become one
//	a number in a tag      another one of as many digits, likewise
//	a tag                  its words, numbers and SHAs, with the same separators: it carries a commit if it did before
//	a uid                  another uid
//	a word of Argo         itself; Healthy, Synced and such are no names
//
// The nil Pseudonyms leaves all as it is.
type Pseudonyms struct{ key []byte }

// NewPseudonyms are those of a key.
func NewPseudonyms(key []byte) *Pseudonyms { return &Pseudonyms{key: key} }

// letters stand for four bits each. No hex digit, no digit, no vowel: a pseudonym is never taken for a SHA, a date or a word, and
// it ends in none of the markers (g, sha) behind which a commit is looked for.
const letters = "hjklmnpqrstvwxyz"

// Name is the pseudonym of a name. It is a valid name of a Kubernetes object.
func (p *Pseudonyms) Name(name string) string {
	if p == nil || name == "" {
		return name
	}
	sum := p.sum("name", name)
	var text strings.Builder
	for _, b := range sum[:6] {
		_ = text.WriteByte(letters[b>>4])
		_ = text.WriteByte(letters[b&15])
	}
	return text.String()
}

// Word keeps the words of Kubernetes and Argo, and replaces others, which can be the kinds of somebody's own resources.
func (p *Pseudonyms) Word(word string) string {
	if p == nil || word == "" || words[word] {
		return word
	}
	return p.Name(word)
}

// Environment keeps the usual names of environments, which say nothing about anybody.
func (p *Pseudonyms) Environment(name string) string {
	if environments[strings.ToLower(name)] {
		return name
	}
	return p.Name(name)
}

// Server is the pseudonym of an address. It leads nowhere.
func (p *Pseudonyms) Server(address string) string {
	if p == nil || address == "" {
		return address
	}
	return "https://" + p.Name(address) + ".invalid"
}

// UID is the pseudonym of a uid, in the form of a random UUID.
func (p *Pseudonyms) UID(uid string) string {
	if p == nil || uid == "" {
		return uid
	}
	b := p.sum("uid", uid)[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Image replaces repository, tag and digest of a reference.
func (p *Pseudonyms) Image(ref string) string {
	if p == nil {
		return ref
	}
	repository, tag, digest := dora.SplitImage(ref)
	image := p.path(repository)
	if tag != "" {
		image += ":" + p.Tag(tag)
	}
	if digest != "" {
		image += "@" + p.Digest(digest)
	}
	return image
}

// path replaces each part by itself, so that what is under one roof stays there.
func (p *Pseudonyms) path(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = p.Name(part)
	}
	return strings.Join(parts, "/")
}

// Digest keeps the algorithm.
func (p *Pseudonyms) Digest(digest string) string {
	algorithm, sum, found := strings.Cut(digest, ":")
	if p == nil || !found || !words[algorithm] || !hexDigits.MatchString(sum) {
		return p.Name(digest)
	}
	return algorithm + ":" + p.permute(sum, hexAlphabet, always)
}

// PodHash is the pseudonym of a pod-template hash.
func (p *Pseudonyms) PodHash(hash string) string { return p.Name(hash) }

// ReplicaSet is the pseudonym of a name that is a Rollout's and a hash; so is what becomes of it.
func (p *Pseudonyms) ReplicaSet(name, hash string) string {
	rollout, made := strings.CutSuffix(name, "-"+hash)
	if p == nil || hash == "" || !made {
		return p.Name(name)
	}
	return p.Name(rollout) + "-" + p.PodHash(hash)
}

// sum is the keyed hash of a value, another one for each use.
func (p *Pseudonyms) sum(use, value string) []byte {
	mac := hmac.New(sha256.New, p.key)
	_, _ = mac.Write([]byte(use + "\x00" + value))
	return mac.Sum(nil)
}

// stream is as many bytes as are asked for.
func (p *Pseudonyms) stream(use, value string, n int) []byte {
	var all []byte
	for block := uint64(0); len(all) < n; block++ {
		all = append(all, p.sum(use, string(binary.BigEndian.AppendUint64(nil, block))+value)...)
	}
	return all[:n]
}
