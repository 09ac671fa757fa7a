package v1alpha1

// Source says where the commits of a deployment are found. With an empty one ({}) an image's labels tell the repository.
//
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || has(self.hosts) || has(self.repository) && (has(self.repository.url) || has(self.repository.template))",message="secretRef needs hosts: the repository is told by an annotation or an image, so say which hosts the credentials may be sent to"
// +kubebuilder:validation:XValidation:rule="!has(self.squash) || !self.squash || self.provider != 'Git'",message="squash needs a provider that knows pull requests: Auto, GitHub, GitLab or Gitea"
type Source struct {
	// repository says which repository an image is built from. Without it, the image's label org.opencontainers.image.source
	// tells. It is never guessed.
	// +optional
	Repository Repository `json:"repository,omitzero"`

	// path limits the commits to those that change something in this folder of a monorepo, such as services/checkout. It may
	// hold the placeholders of repository.template. Without it all commits of the repository count.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^(\{(name|namespace|service|image|labels\.[A-Za-z0-9._/-]+)\}|[^[:cntrl:]\s{}\\])+$') && !self.matches(r'(^|/)(\.\.?)?(/|$)')`,message="path is a folder within the repository, without a slash at its ends and without blanks, such as services/checkout or services/{service}; it may hold {name}, {namespace}, {service}, {image} and {labels.KEY}"
	// +optional
	Path string `json:"path,omitempty"`

	// provider says how the repository is asked. Auto asks the API of github.com, gitlab.com, codeberg.org and gitea.com if secretRef
	// holds a token for it, and speaks git's own protocol with every other server. A server of your own that is a GitHub
	// Enterprise, GitLab, Gitea or Forgejo can be named, if its API is to be asked: squash needs that.
	// +kubebuilder:default=Auto
	// +optional
	Provider SourceProvider `json:"provider,omitempty"`

	// secretRef names a Secret of the target's own namespace with the credentials: username and password, or token, or
	// sshPrivateKey and known_hosts, or githubAppID, githubAppInstallationID and githubAppPrivateKey; ca.crt beside them. The keys
	// of Argo CD's repository secrets and of Flux' GitRepository secrets are taken. Without it the repository is read anonymously.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`

	// hosts are those that the credentials may be sent to, such as github.com or git.example.com:8443. Without it that is the
	// host that repository.url or repository.template names, and no other. Where an annotation or an image tells the repository,
	// only repositories on these hosts are asked, if there are any.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	// +optional
	Hosts []HostName `json:"hosts,omitempty"`

	// pullSecrets name Secrets of the target's own namespace, of type kubernetes.io/dockerconfigjson, that open the registry of
	// the images. They are needed only where a tag carries no commit, or no repository is named, and the image's labels have to tell.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=name
	// +optional
	PullSecrets []SecretReference `json:"pullSecrets,omitempty"`

	// tagPattern is a regular expression (RE2) that says where in an image's tag the commit stands, by a group named sha, such
	// as ^main-(?P<sha>[0-9a-f]{7,40})-[0-9]+$. Without it, that is the end of the tag: 7 to 40 hex digits that are the whole
	// tag or follow '-', '_', '.', 'g' or 'sha-', and are no date and no build number.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches(r'(^|[^\\\\])(\\\\\\\\)*\\(\\?P?<sha>')",message="tagPattern has no group named sha: write (?P<sha>[0-9a-f]{7,40}) where the commit stands"
	// +kubebuilder:validation:XValidation:rule="'a tag'.matches(self) in [true, false]",message="tagPattern is no regular expression in the syntax of RE2"
	// +optional
	TagPattern string `json:"tagPattern,omitempty"`

	// image is a glob over the images that carry a commit, where a version has several, such as */checkout. It is written as
	// in images.include. Without it, of several images that changed the first counts whose tag carries a commit.
	// +optional
	Image ImageGlob `json:"image,omitempty"`

	// time says which of a commit's two times counts: committer, or author. A rebase and a squash keep the author's and renew the
	// committer's.
	// +kubebuilder:default=committer
	// +optional
	Time CommitTime `json:"time,omitempty"`

	// squash takes, for a commit that a pull request or merge request was squashed into, the first commit of that request. It
	// needs a provider with an API.
	// +optional
	Squash bool `json:"squash,omitempty"`

	// backfill completes, once, the deployments that were recorded before the commits could be found, and imports what an
	// Application's history tells of the time before it was followed when it is first seen. What is imported says so
	// (basis: history), and is in no figure unless its outcome can be told.
	// +optional
	Backfill bool `json:"backfill,omitempty"`
}

// Repository is an address that is the same for every selected object, or that an annotation or a template tells.
//
// The rules of url and template stand here, since an answer to a rule of theirs would repeat the address, and what is refused may be an
// address with a password in it.
//
// +kubebuilder:validation:XValidation:rule="[has(self.url), has(self.template), has(self.fromAnnotation)].exists_one(s, s)",message="set one of url, template and fromAnnotation"
// +kubebuilder:validation:XValidation:rule=`!has(self.url) || self.url.matches(r'^((https?://|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?)([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/|[A-Za-z0-9_][A-Za-z0-9_.-]*@([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):/?|file:///)[^[:cntrl:]\s{}?#\\/][^[:cntrl:]\s{}?#\\]*$')`,fieldPath=".url",message="url is the address of a git repository, without credentials, such as https://github.com/acme/checkout or git@github.com:acme/checkout.git"
// +kubebuilder:validation:XValidation:rule=`!has(self.template) || self.template.matches(r'^((https?://|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?)([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/|[A-Za-z0-9_][A-Za-z0-9_.-]*@([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):/?)(\{(name|namespace|service|image|labels\.[A-Za-z0-9._/-]+)\}|[^[:cntrl:]\s{}?#\\/])(\{(name|namespace|service|image|labels\.[A-Za-z0-9._/-]+)\}|[^[:cntrl:]\s{}?#\\])*$')`,fieldPath=".template",message="template is an address with placeholders after its host: {name}, {namespace}, {service}, {image} or {labels.KEY}, such as https://github.com/acme/{service}"
type Repository struct {
	// url is the address, in any form that git takes without credentials: https://host/path, ssh://git@host/path or git@host:path.
	// file:///path is allowed below the folder that the administrator named.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	URL string `json:"url,omitempty"`

	// template is an address with placeholders after its host: {name} and {namespace} of the object, {service}, {image} (the
	// last part of the image's name) and {labels.KEY}, such as https://github.com/acme/{service} or
	// https://github.com/{labels.team}/{image}. An object without such a label has no repository.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Template string `json:"template,omitempty"`

	// fromAnnotation is the annotation of the Application or Rollout that holds the address, such as example.com/repository. An
	// object without it has no repository.
	// +optional
	FromAnnotation AnnotationKey `json:"fromAnnotation,omitempty"`
}

// AnnotationKey is the key of an annotation, such as example.com/repository.
//
// +kubebuilder:validation:MaxLength=317
// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="the key of an annotation is letters, digits, '-', '_' and '.', after an optional prefix and '/', such as example.com/repository"
type AnnotationKey string

// SecretReference names a Secret of the target's own namespace.
type SecretReference struct {
	// name is the name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="the name of a Secret is lower-case letters, digits, '-' and '.'"
	// +required
	Name string `json:"name"`
}

// HostName is the name of a host, with a port unless that is the protocol's own.
//
// +kubebuilder:validation:MaxLength=259
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$')`,message="a host is a name in lower-case letters, and a port if it is not the usual one, such as github.com or git.example.com:8443"
type HostName string

// SourceProvider is how a repository is asked.
//
// +kubebuilder:validation:Enum=Auto;Git;GitHub;GitLab;Gitea
type SourceProvider string

// The providers.
const (
	ProviderAuto   SourceProvider = "Auto"   // by host, and whether there is a token
	ProviderGit    SourceProvider = "Git"    // git's own protocol, over https or ssh
	ProviderGitHub SourceProvider = "GitHub" // the API of github.com or a GitHub Enterprise Server
	ProviderGitLab SourceProvider = "GitLab" // the API of gitlab.com or another GitLab
	ProviderGitea  SourceProvider = "Gitea"  // the API of a Gitea or Forgejo
)

// CommitTime is one of a commit's two times.
//
// +kubebuilder:validation:Enum=committer;author
type CommitTime string

// The times.
const (
	CommitterTime CommitTime = "committer"
	AuthorTime    CommitTime = "author"
)
