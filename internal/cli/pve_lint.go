package cli

import "github.com/spf13/cobra"

func (a *app) pveLintCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "lint", Hidden: true}
}
