package v1alpha1

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBefore(t *testing.T) {
	at := func(minute int, namespace, name string) *DoraTarget {
		created := metav1.NewTime(time.Date(2026, 11, 20, 14, minute, 0, 0, time.UTC))
		return &DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: created}}
	}
	ordered := []*DoraTarget{at(1, "z", "z"), at(2, "a", "z"), at(2, "b", "a"), at(2, "b", "b")}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Before(b); got != (i < j) {
				t.Errorf("%s/%s before %s/%s is %v", a.Namespace, a.Name, b.Namespace, b.Name, got)
			}
		}
	}
}

func TestPolicyDiffers(t *testing.T) {
	labels := map[string]string{"service": "checkout", "team": "shop"}
	for name, tc := range map[string]struct {
		younger, owner DoraTargetSpec
		want           []string
	}{
		"the same in other words": {
			younger: DoraTargetSpec{
				Service: NameSource{FromLabel: "service"}, Team: NameSource{Value: "shop"}, Changes: []ChangeKind{ChangeImage},
				DegradedFor: "1m", FailureWindow: "60m", VerdictTimeout: "1d", Images: ImageFilter{Include: []ImageGlob{"a", "b"}},
			},
			owner: DoraTargetSpec{Environment: NameSource{Value: "production"}, Images: ImageFilter{Include: []ImageGlob{"b", "a"}}},
		},
		"figures and selection are each target's own": {
			younger: DoraTargetSpec{
				Window: "90d", Bands: Bands{Preset: PresetGuide}, Applications: &SubjectSelector{}, Rollouts: &SubjectSelector{},
			},
		},
		"all that a verdict depends on": {
			younger: DoraTargetSpec{
				Service: NameSource{Value: "x"}, Team: NameSource{Value: "x"}, Environment: NameSource{Value: "x"},
				Images: ImageFilter{Exclude: []ImageGlob{"*/envoy"}}, Changes: []ChangeKind{ChangeImage, ChangeConfig},
				DegradedFor: "0s", FailureWindow: "2h", VerdictTimeout: "2h",
			},
			want: []string{"service", "team", "environment", "images", "changes", "degradedFor", "failureWindow", "verdictTimeout"},
		},
		"where commits are found": {
			younger: DoraTargetSpec{Source: &Source{Repository: Repository{URL: "https://github.com/acme/checkout"}}},
			owner:   DoraTargetSpec{Source: &Source{Repository: Repository{Template: "https://github.com/acme/{service}"}}},
			want:    []string{"source"},
		},
		"which of a commit's times counts": {
			younger: DoraTargetSpec{Source: &Source{Time: AuthorTime}},
			owner:   DoraTargetSpec{Source: &Source{}},
			want:    []string{"source"},
		},
		"the same source in other words": {
			younger: DoraTargetSpec{Source: &Source{
				Provider: ProviderAuto, Time: CommitterTime, Hosts: []HostName{"a", "b"}, PullSecrets: []SecretReference{{Name: "a"}, {Name: "b"}},
				SecretRef: &SecretReference{Name: "git"},
			}},
			owner: DoraTargetSpec{Source: &Source{
				Hosts: []HostName{"b", "a"}, PullSecrets: []SecretReference{{Name: "b"}, {Name: "a"}}, SecretRef: &SecretReference{Name: "git"},
			}},
		},
		"an empty list is none": {
			younger: DoraTargetSpec{Source: &Source{PullSecrets: []SecretReference{}}},
			owner:   DoraTargetSpec{Source: &Source{}},
		},
		"a source that only one of them has holds for both": {
			younger: DoraTargetSpec{Source: &Source{Repository: Repository{URL: "https://github.com/acme/checkout"}, Squash: true}},
		},
		"what cannot be read is nothing else": {
			younger: DoraTargetSpec{DegradedFor: "soon", FailureWindow: "soon"},
			owner:   DoraTargetSpec{DegradedFor: "soon", FailureWindow: "later"},
			want:    []string{"failureWindow"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.younger.PolicyDiffers(&tc.owner, "checkout-eu", labels)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.want, tc.owner.PolicyDiffers(&tc.younger, "checkout-eu", labels)); diff != "" {
				t.Errorf("the other way round: %s", diff)
			}
		})
	}
}

func TestComparingSourcesLeavesThemAsTheyAre(t *testing.T) {
	spec := DoraTargetSpec{Source: &Source{Hosts: []HostName{"b", "a"}}}
	before := spec.DeepCopy()
	spec.PolicyDiffers(&DoraTargetSpec{Source: &Source{}}, "checkout", nil)
	if diff := cmp.Diff(before, &spec); diff != "" {
		t.Error(diff)
	}
}
