package api

import (
	"fmt"
	"net/http"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
)

type keyJSON struct {
	Name        string       `json:"name"`
	Fingerprint string       `json:"fingerprint"`
	Type        repo.KeyType `json:"keytype"`
	Self        string       `json:"self"`
	DestroyURL  string       `json:"destroy_url"`
	DownloadURL string       `json:"download_url"`
}

func (a *API) keyJSON(r repo.Repository, k repo.Key) keyJSON {
	path := self(r) + join("gpg_keys", k.Name) + ".json"
	return keyJSON{
		Name: k.Name, Fingerprint: k.Fingerprint, Type: k.Type, Self: path, DestroyURL: path,
		DownloadURL: a.URL.String() + join(r.Owner, r.Name, "gpgkey", k.Name),
	}
}

func (a *API) listKeys(w http.ResponseWriter, r *http.Request, c *call) error {
	// The signing key is made on first need, and this is one.
	if _, err := a.Keys.PublicKey(r.Context(), c.repository); err != nil {
		return err
	}
	keys, err := a.DB.Keys(r.Context(), c.repository.ID)
	if err != nil {
		return err
	}
	list := make([]keyJSON, 0, len(keys))
	for _, k := range keys {
		list = append(list, a.keyJSON(c.repository, k))
	}
	return WriteJSON(w, http.StatusOK, map[string]any{"gpg_keys": list})
}

// createKey takes the public key of who signs packages.
func (a *API) createKey(w http.ResponseWriter, r *http.Request, c *call) error {
	refuse := func(format string, args ...any) error {
		return WriteJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": fmt.Sprintf(format, args...)})
	}
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	data := p.get("gpg_key[keydata]", "keydata")
	if data == "" {
		return refuse("keydata can't be blank: send a public key in a part named gpg_key[keydata]")
	}
	public, err := sign.ParsePublic([]byte(data))
	if err != nil {
		return refuse("%v", err)
	}
	k := repo.Key{
		RepositoryID: c.repository.ID, Type: repo.PackageKeyPub, Name: sign.Name(c.repository, public.Fingerprint),
		Fingerprint: public.Fingerprint, Public: public.Armored, CreatedAt: a.Now(),
	}
	err = a.DB.Update(r.Context(), func(tx *db.Tx) error { return tx.InsertKey(r.Context(), &k, false) })
	if repo.IsTaken(err) {
		return refuse("%s %s", k.Name, repo.TakenMessage)
	}
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusCreated, a.keyJSON(c.repository, k))
}

func (a *API) showKey(w http.ResponseWriter, r *http.Request, c *call) error {
	k, err := a.DB.Key(r.Context(), c.repository.ID, r.PathValue("key"))
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.keyJSON(c.repository, k))
}

// deleteKey removes a package key. A signing key stays: clients may still need
// it.
func (a *API) deleteKey(w http.ResponseWriter, r *http.Request, c *call) error {
	k, err := a.DB.Key(r.Context(), c.repository.ID, r.PathValue("key"))
	if err != nil {
		return err
	}
	if k.Type != repo.PackageKeyPub {
		return fmt.Errorf("key %s signs the repository: %w", k.Name, repo.ErrNotFound)
	}
	return a.deleted(w, a.DB.Update(r.Context(), func(tx *db.Tx) error { return tx.DeleteKey(r.Context(), k.ID) }))
}
