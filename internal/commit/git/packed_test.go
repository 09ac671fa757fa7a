package git_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
)

// packed is an object as a pack has it: kind and size, then the content compressed. It is for content of less than 2 KiB.
func packed(kind byte, content []byte) []byte {
	var out bytes.Buffer
	out.Write([]byte{0x80 | kind<<4 | byte(len(content))&15, byte(len(content) >> 4)})
	out.Write(deflated(content))
	return out.Bytes()
}

func deflated(content []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(content)
	_ = z.Close()
	return out.Bytes()
}

// bomb is a small commit and a difference that copies a part of it until a gigabyte is full.
func bomb() string {
	base := packed(1, bytes.Repeat([]byte("x"), 1000))
	delta := binary.AppendUvarint(binary.AppendUvarint(nil, 1000), 1<<30)
	for range 200 {
		delta = append(delta, 0xb0, 0xe8, 0x03) // copy 1000 bytes from the beginning
	}
	difference := []byte{0x80 | 6<<4 | byte(len(delta))&15, byte(len(delta) >> 4), byte(len(base))}
	return string(base) + string(append(difference, deflated(delta)...)) + "12345678901234567890"
}
