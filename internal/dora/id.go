package dora

import (
	"crypto/sha1" //nolint:gosec // a name-based UUID (RFC 9562, version 5) is defined on SHA-1; nothing is protected by it
	"encoding/hex"
	"strings"
)

// namespace of this project's name-based UUIDs: UUIDv5 of the DNS name dora-controller.io.
var namespace = uuid5(dns, "dora-controller.io")

// dns is the namespace of DNS names (RFC 9562, appendix C).
var dns = [16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// ID is the UUIDv5 of facts that do not change between two looks at the same thing.
func ID(facts ...string) string {
	id := uuid5(namespace, strings.Join(facts, "\x00"))
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func uuid5(ns [16]byte, name string) [16]byte {
	var id [16]byte
	sum := sha1.Sum(append(ns[:], name...)) //nolint:gosec // see the import
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}
