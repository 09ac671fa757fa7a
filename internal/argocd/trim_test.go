package argocd

import (
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTrimLeavesOtherObjectsAlone(t *testing.T) {
	other := &metav1.Status{Message: "gone"}
	if got, err := Trim(other); err != nil || got != any(other) {
		t.Errorf("got %v (%v)", got, err)
	}
}

func TestTrimKeepsLabelsAndOneAnnotation(t *testing.T) {
	app := decode(t, []byte(`{"metadata":{"name":"web","labels":{"team":"payments"},"finalizers":["f"],"annotations":{
		"kubectl.kubernetes.io/last-applied-configuration":"{}","argocd.argoproj.io/skip-reconcile":"true"}}}`))
	app.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "argocd"}}
	if _, err := Trim(app); err != nil {
		t.Fatal(err)
	}
	if app.Labels["team"] != "payments" || len(app.Annotations) != 1 || app.Annotations[skipReconcile] != "true" {
		t.Errorf("got labels %v, annotations %v", app.Labels, app.Annotations)
	}
	if app.ManagedFields != nil || app.Finalizers != nil {
		t.Errorf("got managed fields %v, finalizers %v", app.ManagedFields, app.Finalizers)
	}
}

func TestLongMessagesAreCutBetweenCharacters(t *testing.T) {
	for _, message := range []string{strings.Repeat("x", messageBytes+1), strings.Repeat("é", messageBytes), "x" + strings.Repeat("é", messageBytes)} {
		got := cut(message)
		if len(got) > messageBytes || len(got) < messageBytes-1 || !utf8.ValidString(got) || !strings.HasPrefix(message, got) {
			t.Errorf("got %d bytes of %d, valid %v", len(got), len(message), utf8.ValidString(got))
		}
	}
	if got := cut("short"); got != "short" {
		t.Errorf("got %q", got)
	}
}
