package client

import (
	"context"
	"net/url"
	"strconv"

	"packagecloud/internal/repo"
)

// MasterToken makes read tokens for a repository.
type MasterToken struct {
	Name       string      `json:"name"`
	Value      string      `json:"value"`
	Paths      TokenPaths  `json:"paths"`
	ReadTokens []ReadToken `json:"read_tokens"`
}

// TokenPaths are where a master token is, below the server's URL.
type TokenPaths struct {
	Self string `json:"self"`
}

// ReadToken lets a machine read a repository.
type ReadToken struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MasterTokens lists the master tokens of a repository with their read tokens.
func (c *Client) MasterTokens(ctx context.Context, r *Repository) ([]MasterToken, error) {
	var list []MasterToken
	_, err := c.get(ctx, r.Paths.MasterTokens, &list)
	return list, err
}

// CreateMasterToken makes a master token. That of an earlier attempt, whose answer
// was lost, is the one with this name.
func (c *Client) CreateMasterToken(ctx context.Context, r *Repository, name string) (*MasterToken, error) {
	t := new(MasterToken)
	repeated, err := c.form(ctx, r.Paths.CreateMasterToken, url.Values{"master_token[name]": {name}}, t)
	if !repeated || !repo.IsTaken(err) {
		return t, err
	}
	all, listErr := c.MasterTokens(ctx, r)
	if listErr != nil {
		return nil, err
	}
	for _, have := range all {
		if have.Name == name {
			return &have, nil
		}
	}
	return nil, err
}

// DeleteMasterToken revokes a master token and all its read tokens.
func (c *Client) DeleteMasterToken(ctx context.Context, t *MasterToken) error {
	return c.delete(ctx, t.Paths.Self)
}

// DeleteReadToken revokes a read token.
func (c *Client) DeleteReadToken(ctx context.Context, t *MasterToken, id int64) error {
	return c.delete(ctx, t.Paths.Self+"/read_tokens/"+strconv.FormatInt(id, 10))
}
