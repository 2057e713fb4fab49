package cli

import "github.com/spf13/cobra"

func (a *app) pveTokensCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "tokens", Hidden: true}
}
