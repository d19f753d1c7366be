package api

import (
	"fmt"
	"net/http"
	"strconv"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// maxTokenName bounds the name of a token, in bytes.
const maxTokenName = 255

type masterTokenJSON struct {
	ID           int64           `json:"id"`
	Name         string          `json:"name"`
	Value        string          `json:"value"`
	RepositoryID int64           `json:"repository_id"`
	CreatedAt    timestamp       `json:"created_at"`
	UpdatedAt    timestamp       `json:"updated_at"`
	Paths        masterPathsJSON `json:"paths"`
	ReadTokens   []readTokenJSON `json:"read_tokens"`
}

type masterPathsJSON struct {
	Self            string `json:"self"`
	CreateReadToken string `json:"create_read_token"`
}

type readTokenJSON struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func masterPath(r repo.Repository, id int64) string {
	return fmt.Sprintf("%s/master_tokens/%d", self(r), id)
}

// masterTokenJSON shows a token, with its read tokens.
func (a *API) masterTokenJSON(r *http.Request, c *call, t db.Token) (masterTokenJSON, error) {
	value, err := auth.Reveal(a.Sealer, t.Sealed)
	if err != nil {
		return masterTokenJSON{}, err
	}
	reads, err := a.readTokensJSON(r, t.ID)
	base := masterPath(c.repository, t.ID)
	return masterTokenJSON{
		ID: t.ID, Name: t.Name, Value: value, RepositoryID: c.repository.ID, CreatedAt: timestamp(t.CreatedAt), UpdatedAt: timestamp(t.UpdatedAt),
		Paths: masterPathsJSON{Self: base, CreateReadToken: base + "/read_tokens.json"}, ReadTokens: reads,
	}, err
}

func (a *API) readTokensJSON(r *http.Request, masterTokenID int64) ([]readTokenJSON, error) {
	tokens, err := a.DB.ReadTokens(r.Context(), masterTokenID)
	if err != nil {
		return nil, err
	}
	list := make([]readTokenJSON, 0, len(tokens))
	for _, t := range tokens {
		value, err := auth.Reveal(a.Sealer, t.Sealed)
		if err != nil {
			return nil, err
		}
		list = append(list, readTokenJSON{ID: t.ID, Name: t.Name, Value: value})
	}
	return list, nil
}

func (a *API) listMasterTokens(w http.ResponseWriter, r *http.Request, c *call) error {
	tokens, err := a.DB.MasterTokens(r.Context(), c.repository.ID)
	if err != nil {
		return err
	}
	list := make([]masterTokenJSON, 0, len(tokens))
	for _, t := range tokens {
		v, err := a.masterTokenJSON(r, c, t)
		if err != nil {
			return err
		}
		list = append(list, v)
	}
	return WriteJSON(w, http.StatusOK, list)
}

// tokenName reads the name of a new token.
func tokenName(w http.ResponseWriter, r *http.Request, field string) (string, error) {
	p, err := readParams(w, r)
	if err != nil {
		return "", err
	}
	name := p.get(field, "name")
	if name == "" {
		return "", repo.Invalid("name", "can't be blank")
	}
	if len(name) > maxTokenName {
		return "", repo.Invalid("name", fmt.Sprintf("is longer than %d bytes", maxTokenName))
	}
	return name, repo.ValidateName("name", name)
}

func (a *API) createMasterToken(w http.ResponseWriter, r *http.Request, c *call) error {
	name, err := tokenName(w, r, "master_token[name]")
	if err != nil {
		return err
	}
	var t repo.MasterToken
	err = a.DB.Update(r.Context(), func(tx *db.Tx) (err error) {
		t, err = auth.CreateMasterToken(r.Context(), tx, a.Sealer, c.repository.ID, name, a.Now())
		return err
	})
	if err != nil {
		return err
	}
	a.Auth.Forget()
	base := masterPath(c.repository, t.ID)
	return WriteJSON(w, http.StatusCreated, masterTokenJSON{
		ID: t.ID, Name: t.Name, Value: t.Value, RepositoryID: t.RepositoryID, CreatedAt: timestamp(t.CreatedAt), UpdatedAt: timestamp(t.UpdatedAt),
		Paths: masterPathsJSON{Self: base, CreateReadToken: base + "/read_tokens.json"}, ReadTokens: []readTokenJSON{},
	})
}

func (a *API) searchMasterTokens(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	pg := page(p)
	tokens, total, err := a.DB.SearchMasterTokens(r.Context(), c.repository.ID, p.get("q"), pg)
	if err != nil {
		return err
	}
	type found struct {
		Name       string `json:"name"`
		Value      string `json:"value"`
		Self       string `json:"self_url"`
		ReadTokens string `json:"read_tokens_url"`
	}
	list := make([]found, 0, len(tokens))
	for _, t := range tokens {
		value, err := auth.Reveal(a.Sealer, t.Sealed)
		if err != nil {
			return err
		}
		base := masterPath(c.repository, t.ID)
		list = append(list, found{Name: t.Name, Value: value, Self: base, ReadTokens: base + "/read_tokens.json"})
	}
	return a.writePage(w, r, list, pg, total)
}

// masterToken finds the token of a path, by id or by value.
func (a *API) masterToken(r *http.Request, c *call) (db.Token, error) {
	v := r.PathValue("master")
	if len(v) == repo.TokenLength {
		return a.DB.MasterTokenByHash(r.Context(), c.repository.ID, auth.Hash(v))
	}
	id, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return db.Token{}, fmt.Errorf("master token: %w", repo.ErrNotFound)
	}
	return a.DB.MasterToken(r.Context(), c.repository.ID, id)
}

// showMasterToken answers an array of one: that is what clients expect.
func (a *API) showMasterToken(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.masterToken(r, c)
	if err != nil {
		return err
	}
	v, err := a.masterTokenJSON(r, c, t)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, []masterTokenJSON{v})
}

func (a *API) deleteMasterToken(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.masterToken(r, c)
	if err != nil {
		return err
	}
	err = a.DB.Update(r.Context(), func(tx *db.Tx) error {
		return auth.DeleteMasterToken(r.Context(), tx, a.Sealer, repo.MasterToken{ID: t.ID, Name: t.Name}, a.Now())
	})
	return a.deleted(w, err)
}

// deleted answers that a token or key is gone.
func (a *API) deleted(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	a.Auth.Forget()
	a.downloads.forget()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) listReadTokens(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.masterToken(r, c)
	if err != nil {
		return err
	}
	list, err := a.readTokensJSON(r, t.ID)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, map[string]any{"read_tokens": list})
}

func (a *API) createReadToken(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.masterToken(r, c)
	if err != nil {
		return err
	}
	name, err := tokenName(w, r, "read_token[name]")
	if err != nil {
		return err
	}
	var rt repo.ReadToken
	var created bool
	err = a.DB.Update(r.Context(), func(tx *db.Tx) (err error) {
		rt, created, err = auth.EnsureReadToken(r.Context(), tx, a.Sealer, t.ID, name, a.Now())
		return err
	})
	if err != nil {
		return err
	}
	if !created {
		return repo.Taken("name")
	}
	a.Auth.Forget()
	return WriteJSON(w, http.StatusCreated, readTokenJSON{ID: rt.ID, Name: rt.Name, Value: rt.Value})
}

// readToken finds the token of a path.
func (a *API) readToken(r *http.Request, c *call) (db.Token, error) {
	m, err := a.masterToken(r, c)
	if err != nil {
		return db.Token{}, err
	}
	id, err := strconv.ParseInt(r.PathValue("token"), 10, 64)
	if err != nil {
		return db.Token{}, fmt.Errorf("read token: %w", repo.ErrNotFound)
	}
	return a.DB.ReadToken(r.Context(), m.ID, id)
}

func (a *API) showReadToken(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.readToken(r, c)
	if err != nil {
		return err
	}
	value, err := auth.Reveal(a.Sealer, t.Sealed)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, readTokenJSON{ID: t.ID, Name: t.Name, Value: value})
}

func (a *API) deleteReadToken(w http.ResponseWriter, r *http.Request, c *call) error {
	t, err := a.readToken(r, c)
	if err != nil {
		return err
	}
	return a.deleted(w, a.DB.Update(r.Context(), func(tx *db.Tx) error { return tx.DeleteReadToken(r.Context(), t.ID) }))
}
