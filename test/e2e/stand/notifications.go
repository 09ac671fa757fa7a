package stand

import (
	"bytes"
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// Webhook is somebody whom Argo CD's notifications controller tells.
type Webhook struct {
	// URL is where it listens.
	URL string
	// Calls are what each template of Argo CD's catalogue sends there, by the template's name. A template that is not named sends its message alone.
	Calls map[string]Call
}

// Call is a request, both parts of which are Go templates over the Application.
type Call struct{ Path, Body string }

// StartNotifications starts Argo CD's own notifications controller, with the catalogue of triggers and templates that its release has, and nothing
// changed of it: the webhooks are added to the templates beside their messages for e-mail, Slack and Teams. An Application subscribes to a trigger
// with the annotation notifications.argoproj.io/subscribe.TRIGGER.WEBHOOK.
func (s *Stand) StartNotifications(ctx context.Context, webhooks map[string]Webhook) (*Process, error) {
	if err := s.configureNotifications(ctx, webhooks); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	kubeconfig, err := s.kubeconfigIn(ArgoNamespace)
	if err != nil {
		return nil, err
	}
	args := []string{"--kubeconfig=" + kubeconfig, "--metrics-port=" + port, "--argocd-repo-server-plaintext"}
	if s.repoServer != "" { // of a stand that was joined it is not known, and only templates that ask for commits need it
		args = append(args, "--argocd-repo-server="+s.repoServer)
	}
	return s.Run(ctx, &Process{
		Name: "notifications-controller", Path: s.bin("e2e/argocd"), Ready: answers("http://127.0.0.1:" + port + "/metrics"),
		Env: s.argoEnv("argocd-notifications"), Args: args,
	})
}

// kubeconfigIn writes the administrator's kubeconfig with that namespace, since the notifications controller does not heed its flag --namespace.
func (s *Stand) kubeconfigIn(namespace string) (string, error) {
	config, err := clientcmd.LoadFromFile(s.kubeconfig)
	if err != nil {
		return "", fmt.Errorf("cannot start the notifications controller: %w", err)
	}
	for _, c := range config.Contexts {
		c.Namespace = namespace
	}
	file := s.file("notifications.kubeconfig")
	return file, clientcmd.WriteToFile(*config, file)
}

// configureNotifications applies the catalogue with the webhooks, and the Secret without which the controller does nothing.
func (s *Stand) configureNotifications(ctx context.Context, webhooks map[string]Webhook) error {
	catalog, err := s.catalog()
	if err != nil {
		return err
	}
	for name, hook := range webhooks {
		catalog.Data["service.webhook."+name] = "url: " + hook.URL + "\nheaders: [{name: Content-Type, value: application/json}]\n"
		for template, call := range hook.Calls {
			key := "template." + template
			if catalog.Data[key], err = withWebhook(catalog.Data[key], name, call); err != nil {
				return fmt.Errorf("%s of the catalogue: %w", key, err)
			}
		}
	}
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "argocd-notifications-secret", Namespace: ArgoNamespace},
	}
	for _, object := range []any{catalog, secret} {
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		if err := s.Kubectl(ctx, bytes.NewReader(text), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

// catalog is the ConfigMap of triggers and templates as Argo CD's release has it.
func (s *Stand) catalog() (*corev1.ConfigMap, error) {
	text, err := os.ReadFile(s.bin("e2e/notifications-catalog.yaml"))
	if err != nil {
		return nil, fmt.Errorf("cannot start the notifications controller without its catalogue: hack/e2e.sh gets it: %w", err)
	}
	catalog := &corev1.ConfigMap{}
	if err := yaml.Unmarshal(text, catalog); err != nil {
		return nil, fmt.Errorf("the catalogue of notifications: %w", err)
	}
	catalog.Namespace = ArgoNamespace
	return catalog, nil
}

// withWebhook adds a request to a template.
func withWebhook(template, name string, call Call) (string, error) {
	parts := map[string]any{}
	if err := yaml.Unmarshal([]byte(template), &parts); err != nil {
		return "", err
	}
	hooks, _ := parts["webhook"].(map[string]any)
	if hooks == nil {
		hooks = map[string]any{}
	}
	hooks[name] = map[string]any{"method": "POST", "path": call.Path, "body": call.Body}
	parts["webhook"] = hooks
	text, err := yaml.Marshal(parts)
	return string(text), err
}
