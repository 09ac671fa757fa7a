package dora

import "encoding/json"

// MarshalJSON writes null for a first deployment; an unknown predecessor is left out by omitzero.
func (p Predecessor) MarshalJSON() ([]byte, error) {
	return json.Marshal(p.Version)
}

// UnmarshalJSON reads an object or null; an absent field stays unknown.
func (p *Predecessor) UnmarshalJSON(data []byte) error {
	p.Known = true
	return json.Unmarshal(data, &p.Version)
}

// MarshalJSON writes the success of an unknown deployment as null, so that a reader can tell it from a field that is not known.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	if e.Type != TypeDeploy || e.Success != nil {
		return json.Marshal(plain(e))
	}
	return json.Marshal(struct {
		plain
		Success *bool `json:"success"`
	}{plain: plain(e)})
}
