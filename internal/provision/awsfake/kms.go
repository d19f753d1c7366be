package awsfake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

const keyPrefix = "arn:aws:kms:us-east-1:" + Account + ":key/"

type kmsKey struct {
	id, description, policy string
	enabled                 bool
	tags                    map[string]string
	material                [32]byte
}

func (k *kmsKey) arn() string { return keyPrefix + k.id }

// Keys lists the ARNs of all keys.
func (f *Fake) Keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	arns := make([]string, 0, len(f.keys))
	for _, k := range f.keys {
		arns = append(arns, k.arn())
	}
	return arns
}

// AddKey adds a key with tags, as somebody else would, without an alias.
func (f *Fake) AddKey(tags map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := &kmsKey{id: uuid(), enabled: true, tags: tags}
	_, _ = rand.Read(k.material[:])
	f.keys[k.id] = k
}

// tag is how KMS spells one.
type tag struct{ TagKey, TagValue string }

// serveKMS answers KMS: JSON with the operation in a header.
func (f *Fake) serveKMS(w http.ResponseWriter, c *call, operation string) {
	c.service, c.operation = "kms", operation
	operations := map[string]func(*call, *kmsInput) (any, error){
		"CreateKey": f.createKey, "ListKeys": f.listKeys, "DescribeKey": f.describeKey, "GetKeyPolicy": f.getKeyPolicy,
		"ListAliases": f.listAliases, "CreateAlias": f.createAlias,
		"TagResource": f.tagKey, "ListResourceTags": f.listKeyTags, "Encrypt": f.encrypt, "Decrypt": f.decrypt,
	}
	var in kmsInput
	answer, err := any(nil), json.Unmarshal(c.body, &in)
	if run, ok := operations[operation]; err != nil || !ok {
		err = fail(http.StatusBadRequest, "UnknownOperationException", "%s", operation)
	} else {
		answer, err = run(c, &in)
	}
	writeJSON(w, "application/x-amz-json-1.1", http.StatusOK, answer, err)
}

// writeJSON writes an answer of KMS or Lambda.
func writeJSON(w http.ResponseWriter, kind string, status int, answer any, err error) {
	w.Header().Set("Content-Type", kind)
	if err != nil {
		e := asAPIError(err)
		status = e.status
		w.Header().Set("X-Amzn-Errortype", e.code)
		answer = map[string]string{"__type": e.code, "message": e.message, "Message": e.message}
	}
	if answer == nil {
		answer = struct{}{}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return fail(http.StatusInternalServerError, "InternalFailure", "%v", err)
}

// kmsInput has the fields of all requests.
type kmsInput struct {
	AliasName, Description, KeyID, Policy, TargetKeyID string
	EncryptionContext                                  map[string]string
	Plaintext, CiphertextBlob                          []byte
	Tags                                               []tag
	Marker                                             string
	BypassPolicyLockoutSafetyCheck                     bool
}

func (f *Fake) key(id string) (*kmsKey, error) {
	full := id
	if i := strings.Index(id, ":alias/"); i >= 0 {
		id = id[i+1:]
	}
	if strings.HasPrefix(id, "alias/") {
		target, ok := f.aliases[id]
		if !ok {
			return nil, fail(http.StatusBadRequest, "NotFoundException", "Alias arn:aws:kms:us-east-1:%s:%s is not found.", Account, id)
		}
		id = target
	}
	k, ok := f.keys[strings.TrimPrefix(id, keyPrefix)]
	if !ok {
		return nil, fail(http.StatusBadRequest, "NotFoundException", "Key '%s' does not exist", full)
	}
	return k, nil
}

// mayKey finds a key and checks a permission on it.
func (f *Fake) mayKey(c *call, action, id string, context ...string) (*kmsKey, error) {
	k, err := f.key(id)
	resource := keyPrefix + "unknown"
	if err == nil {
		resource = k.arn()
	}
	if denied := f.may(c, action, resource, context...); denied != nil {
		return nil, denied
	}
	return k, err
}

func (k *kmsKey) metadata() map[string]any {
	state := "Enabled"
	if !k.enabled {
		state = "Disabled"
	}
	return map[string]any{
		"AWSAccountId": Account, "KeyId": k.id, "Arn": k.arn(), "CreationDate": 1793491200, "Enabled": k.enabled, "KeyState": state,
		"Description": k.description, "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "KeyManager": "CUSTOMER", "Origin": "AWS_KMS",
	}
}

func (f *Fake) createKey(c *call, in *kmsInput) (any, error) {
	if err := f.may(c, "kms:CreateKey", "*"); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := f.may(c, "kms:TagResource", keyPrefix+"new"); err != nil {
			return nil, err
		}
	}
	if in.Policy != "" {
		if err := checkPolicy(in.Policy, "MalformedPolicyDocumentException"); err != nil {
			return nil, err
		}
		if !in.BypassPolicyLockoutSafetyCheck && f.lockedOut(c, in.Policy, keyPrefix+"new") {
			return nil, fail(http.StatusBadRequest, "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
		}
	}
	k := &kmsKey{id: uuid(), description: in.Description, policy: in.Policy, enabled: true, tags: map[string]string{}}
	_, _ = rand.Read(k.material[:])
	for _, t := range in.Tags {
		k.tags[t.TagKey] = t.TagValue
	}
	f.keys[k.id] = k
	f.changed = true
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (f *Fake) listKeys(c *call, _ *kmsInput) (any, error) {
	if err := f.may(c, "kms:ListKeys", "*"); err != nil {
		return nil, err
	}
	list := []map[string]string{}
	for _, k := range f.keys {
		list = append(list, map[string]string{"KeyId": k.id, "KeyArn": k.arn()})
	}
	return map[string]any{"Keys": list, "Truncated": false}, nil
}

func (f *Fake) describeKey(c *call, in *kmsInput) (any, error) {
	k, err := f.mayKey(c, "kms:DescribeKey", in.KeyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (f *Fake) getKeyPolicy(c *call, in *kmsInput) (any, error) {
	k, err := f.mayKey(c, "kms:GetKeyPolicy", in.KeyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Policy": k.policy, "PolicyName": "default"}, nil
}

func (f *Fake) listAliases(c *call, _ *kmsInput) (any, error) {
	if err := f.may(c, "kms:ListAliases", "*"); err != nil {
		return nil, err
	}
	list := []map[string]string{}
	for name, id := range f.aliases {
		list = append(list, map[string]string{"AliasName": name, "AliasArn": "arn:aws:kms:us-east-1:" + Account + ":" + name, "TargetKeyId": id})
	}
	return map[string]any{"Aliases": list, "Truncated": false}, nil
}

func (f *Fake) createAlias(c *call, in *kmsInput) (any, error) {
	if err := f.may(c, "kms:CreateAlias", "arn:aws:kms:us-east-1:"+Account+":"+in.AliasName); err != nil {
		return nil, err
	}
	k, err := f.mayKey(c, "kms:CreateAlias", in.TargetKeyID)
	if err != nil {
		return nil, err
	}
	if _, ok := f.aliases[in.AliasName]; ok {
		return nil, fail(http.StatusBadRequest, "AlreadyExistsException", "An alias with the name %s already exists", in.AliasName)
	}
	f.aliases[in.AliasName] = k.id
	f.changed = true
	return nil, nil
}

func (f *Fake) tagKey(c *call, in *kmsInput) (any, error) {
	k, err := f.mayKey(c, "kms:TagResource", in.KeyID)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		k.tags[t.TagKey] = t.TagValue
	}
	f.changed = true
	return nil, nil
}

func (f *Fake) listKeyTags(c *call, in *kmsInput) (any, error) {
	k, err := f.mayKey(c, "kms:ListResourceTags", in.KeyID)
	if err != nil {
		return nil, err
	}
	list := []tag{}
	for _, name := range sortedKeys(k.tags) {
		list = append(list, tag{name, k.tags[name]})
	}
	return map[string]any{"Tags": list, "Truncated": false}, nil
}

// seal binds a ciphertext to a key and its encryption context, as KMS does.
func (k *kmsKey) seal(context map[string]string) (cipher.AEAD, []byte) {
	block, err := aes.NewCipher(k.material[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	bound, err := json.Marshal(context) // sorted by key
	if err != nil {
		panic(err)
	}
	if len(context) == 0 {
		bound = nil
	}
	return aead, bound
}

func (f *Fake) encrypt(c *call, in *kmsInput) (any, error) {
	k, err := f.mayKey(c, "kms:Encrypt", in.KeyID, contextPairs(in.EncryptionContext)...)
	if err != nil {
		return nil, err
	}
	if !k.enabled {
		return nil, fail(http.StatusBadRequest, "DisabledException", "%s is disabled.", k.arn())
	}
	if len(in.Plaintext) < 1 || len(in.Plaintext) > 4096 {
		return nil, fail(http.StatusBadRequest, "ValidationException", "Member must have length less than or equal to 4096")
	}
	aead, bound := k.seal(in.EncryptionContext)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	blob := append([]byte(k.id), nonce...)
	return map[string]any{"CiphertextBlob": aead.Seal(blob, nonce, in.Plaintext, bound), "KeyId": k.arn(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func (f *Fake) decrypt(c *call, in *kmsInput) (any, error) {
	const idLength = 36
	blob := in.CiphertextBlob
	if len(blob) < idLength+12 {
		return nil, fail(http.StatusBadRequest, "InvalidCiphertextException", "")
	}
	k, err := f.mayKey(c, "kms:Decrypt", string(blob[:idLength]), contextPairs(in.EncryptionContext)...)
	if err != nil {
		return nil, err
	}
	if in.KeyID != "" {
		named, err := f.key(in.KeyID)
		if err != nil {
			return nil, err
		}
		if named != k {
			return nil, fail(http.StatusBadRequest, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
		}
	}
	if !k.enabled {
		return nil, fail(http.StatusBadRequest, "DisabledException", "%s is disabled.", k.arn())
	}
	aead, bound := k.seal(in.EncryptionContext)
	nonce, sealed := blob[idLength:idLength+aead.NonceSize()], blob[idLength+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, sealed, bound)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "InvalidCiphertextException", "")
	}
	return map[string]any{"Plaintext": plain, "KeyId": k.arn(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func contextPairs(m map[string]string) []string {
	var pairs []string
	for _, k := range sortedKeys(m) {
		pairs = append(pairs, "kms:EncryptionContext:"+k, m[k])
	}
	return pairs
}

// KeyPolicy is the policy of a key, given its ARN.
func (f *Fake) KeyPolicy(arn string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[strings.TrimPrefix(arn, keyPrefix)].policy
}
