package cli

import "github.com/spf13/cobra"

func (a *app) pveSimulateCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "simulate", Hidden: true}
}
