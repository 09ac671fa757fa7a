package commit

import "testing"

func TestTheCounterpartOfAnImage(t *testing.T) {
	const image = "a.example/x/shop:9"
	for name, c := range map[string]struct {
		images, others []string
		want           string
	}{
		"the same repository":             {[]string{image}, []string{"b.example/shop:2", "a.example/x/shop:1"}, "a.example/x/shop:1"},
		"the same name in a new registry": {[]string{image}, []string{"b.example/shop:2", "envoy:3"}, "b.example/shop:2"},
		"the only one":                    {[]string{image}, []string{"b.example/store:2"}, "b.example/store:2"},
		"none among others":               {[]string{image}, []string{"b.example/store:2", "envoy:3"}, ""},
		"none if it is one of several":    {[]string{image, "envoy:3"}, []string{"b.example/store:2"}, ""},
		"none of nothing":                 {[]string{image}, nil, ""},
	} {
		if got := Counterpart(image, c.images, c.others); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
