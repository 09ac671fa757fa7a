package rows

import "time"

// How much one transaction prunes. Changes that wait meanwhile are committed between two of them.
const (
	PrunedEvents     = 200
	PrunedSubjects   = 50
	PrunedDeliveries = 500
)

// OwedRows is how many rows of the outbox one transaction makes, changes or drops where there may be very many.
const OwedRows = 500

// Blob keeps an empty value apart from NULL.
func Blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// Optional is the stored form of a text that may be absent.
func Optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Micros is the stored form of a time that may be absent: microseconds since 1970.
func Micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}
