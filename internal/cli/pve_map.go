package cli

import "github.com/spf13/cobra"

func (a *app) pveMapCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "map", Hidden: true}
}
