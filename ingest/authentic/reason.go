package authentic

// A Reason is why a mail is not authentic: a stable word. docs/mail-trust.md
// says of each what to do.
type Reason string

// Every reason there is.
const (
	Malformed         Reason = "malformed"           // not a message that every reader reads in one way
	TooLarge          Reason = "too_large"           // over a limit on size or number
	NoSignature       Reason = "no_signature"        // no DKIM-Signature field
	OtherDomain       Reason = "other_domain"        // signed, by none of the configured domains
	BadSignature      Reason = "bad_signature"       // a signature field that RFC 6376 forbids
	WeakSignature     Reason = "weak_signature"      // rsa-sha1, or an algorithm that is unknown
	BodyLength        Reason = "body_length"         // l=: text may be appended
	FieldTwice        Reason = "field_twice"         // From, To, Subject, … more than once
	FieldUnsigned     Reason = "field_unsigned"      // one of them is not signed
	Sender            Reason = "sender"              // From is not one address in the signing domain
	DateUnreadable    Reason = "date_unreadable"     // no Date, or none that can be read
	DateOld           Reason = "date_old"            // signed more than 14 days before it arrived
	DateFuture        Reason = "date_future"         // signed after it arrived
	SignatureExpired  Reason = "signature_expired"   // x= is before the arrival
	BodyChanged       Reason = "body_changed"        // the body is not what was signed
	NoKey             Reason = "no_key"              // the DNS has no key, or a revoked one
	BadKey            Reason = "bad_key"             // a key record that cannot be used for this
	KeyTesting        Reason = "key_testing"         // t=y
	SignatureWrong    Reason = "signature_wrong"     // the key did not make this signature
	NotOurs           Reason = "not_ours"            // no recipient or merchant of ours
	ServerSilent      Reason = "server_silent"       // no word of the mail server about this signature
	ServerOther       Reason = "server_other"        // the topmost word is another server's
	ServerMisplaced   Reason = "server_misplaced"    // the word stands where it could have come with the mail
	ServerMalformed   Reason = "server_malformed"    // the word cannot be read
	ServerNoDomain    Reason = "server_no_domain"    // dkim=pass without header.d
	ServerAmbiguous   Reason = "server_ambiguous"    // the word may be about another signature
	ServerFailed      Reason = "server_failed"       // the mail server refused the signature
	ServerContradicts Reason = "server_contradicted" // the mail server and our own verification differ
	BodyTaken         Reason = "body_taken"          // a mail with this body was taken before: for who asks the store; no Judge says it
	DNS               Reason = "dns"                 // trouble: to be judged again
)
