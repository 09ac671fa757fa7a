package argocd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
)

// UnmarshalJSON reads what fits and leaves the rest out. It fails for what is no JSON object only, so that
// one odd Application never hides the others.
func (a *Application) UnmarshalJSON(data []byte) error {
	var wire struct {
		metav1.TypeMeta
		Metadata  lenient.Meta `json:"metadata"`
		Spec      Spec         `json:"spec"`
		Operation *Operation   `json:"operation"`
		Status    Status       `json:"status"`
	}
	if err := lenient.Decode(data, &wire); err != nil {
		return err
	}
	*a = Application{
		TypeMeta: wire.TypeMeta, ObjectMeta: wire.Metadata.ObjectMeta(),
		Spec: wire.Spec, Operation: wire.Operation, Status: wire.Status,
	}
	return nil
}
