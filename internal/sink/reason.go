package sink

import "errors"

// Reason says in one word what stands between a sink and its destination. It is the reason of the condition Ready of a DoraSink.
type Reason string

// The reasons. docs/dorasink.md says of each how it is mended.
const (
	CredentialsRefused Reason = "CredentialsRefused" // the destination knows the credentials not, or not for this
	CredentialsMissing Reason = "CredentialsMissing" // there is no Secret, or it lacks a key
	BlueprintMissing   Reason = "BlueprintMissing"   // the portal has not the blueprint, or the blueprint not the property
	SchemaTooOld       Reason = "SchemaTooOld"       // the database has not the tables, or not all of their columns
	SchemaTooNew       Reason = "SchemaTooNew"       // a newer release has changed the tables
	Unreachable        Reason = "Unreachable"        // no connection, no answer in time, or none that is HTTP
	AddressRefused     Reason = "AddressRefused"     // an address that the administrator does not allow
	CertificateRefused Reason = "CertificateRefused" // the destination's certificate is not trusted
	NotFound           Reason = "NotFound"           // nothing is at that address
	Redirected         Reason = "Redirected"         // the destination is elsewhere
	RateLimited        Reason = "RateLimited"        // the destination asked to be left alone
	ReadOnly           Reason = "ReadOnly"           // a database that takes no writes, such as a standby
	Full               Reason = "Full"               // the destination has no room
	Failing            Reason = "Failing"            // the destination says that something is wrong with itself
	Refused            Reason = "Refused"            // the destination does not take what it was sent
)

// reasoned is an error with a reason.
type reasoned struct {
	reason Reason
	err    error
}

func (e *reasoned) Error() string { return e.err.Error() }

// Unwrap returns the error.
func (e *reasoned) Unwrap() error { return e.err }

// Because gives an error a reason. The outermost reason counts.
func Because(reason Reason, err error) error {
	if err == nil {
		return nil
	}
	return &reasoned{reason, err}
}

// ReasonOf is the reason of an error: Refused or Failing if none was given.
func ReasonOf(err error) Reason {
	if known, ok := errors.AsType[*reasoned](err); ok {
		return known.reason
	}
	if IsPermanent(err) {
		return Refused
	}
	return Failing
}
