"""Every message and who answers it: the literal table.

``unreadable`` and ``mismatch`` are the reference's own words for a message that does not parse and
for an inner type that differs from the outer (core.md, section 2.1, with its slips). A message
without an ``unreadable`` text is answered whatever its payload says.
"""

from api import (
    wire,
    wire_attribute,
    wire_blueprint,
    wire_channel,
    wire_colony,
    wire_cron,
    wire_executor,
    wire_file,
    wire_function,
    wire_generator,
    wire_location,
    wire_log,
    wire_process,
    wire_server,
    wire_user,
    wire_workflow,
)
from api.handlers import (
    assign,
    attribute,
    blueprint,
    channel,
    colony,
    cron,
    definition,
    executor,
    file,
    function,
    generator,
    location,
    log,
    process,
    server,
    snapshot,
    user,
    workflow,
)
from api.rpc import Handler, M, Route
from api.specs import SubmitMsg

_MISMATCH = "msg.MsgType does not match payloadType"


def _route(
    kind: type[M],
    handler: Handler[M],
    unreadable: str,
    mismatch: str = "",
    *,
    reads: bool = False,
    reply_type: str | None = None,
    spelled: str = _MISMATCH,
) -> Route:
    return Route(
        kind=kind,
        handler=handler,
        unreadable=unreadable,
        mismatch=f"{mismatch or unreadable}, {spelled}",
        reads=reads,
        reply_type=reply_type,
    )


def _reads(kind: type[M], handler: Handler[M], unreadable: str, mismatch: str = "") -> Route:
    return _route(kind, handler, unreadable, mismatch, reads=True)


UNSIGNED = {
    "versionmsg": _reads(wire_server.VersionMsg, server.version, "Failed to get server version"),
    "getserverinfomsg": _reads(wire.Message, server.info, unreadable=""),
}

ROUTES = {
    # server
    "getstatisticsmsg": _reads(
        wire_server.GetStatisticsMsg,
        server.statistics,
        "Failed to get statistics",
        "Failed to get server version",
    ),
    "getclustermsg": _reads(
        wire_server.GetClusterMsg, server.cluster, "Failed to get cluster info"
    ),
    "changeserveridmsg": _route(
        wire_server.ChangeServerIdMsg, server.change_id, "Failed to change colony Id"
    ),
    # colony
    "addcolonymsg": _route(wire_colony.AddColonyMsg, colony.add, "Failed to add colony"),
    "removecolonymsg": _route(
        wire_colony.RemoveColonyMsg, colony.remove, "Failed to remove colony"
    ),
    "getcoloniesmsg": _reads(wire_colony.GetColoniesMsg, colony.get_all, "Failed to get colonies"),
    "getcolonymsg": _reads(wire_colony.GetColonyMsg, colony.get, "Failed to get colony"),
    "getcolonystatsmsg": _reads(
        wire_colony.GetColonyStatsMsg, colony.statistics, "Failed to get colony statistics"
    ),
    "changecolonyidmsg": _route(
        wire_colony.ChangeColonyIdMsg, colony.change_id, "Failed to change colony Id"
    ),
    "getcolonysettingsmsg": _reads(
        wire_colony.GetColonySettingsMsg, colony.get_settings, "Failed to get colony settings"
    ),
    "setcolonysettingsmsg": _route(
        wire_colony.SetColonySettingsMsg, colony.set_settings, "Failed to set colony settings"
    ),
    # user
    "addusermsg": _route(wire_user.AddUserMsg, user.add, "Failed to add user"),
    "getusersmsg": _reads(wire_user.GetUsersMsg, user.get_all, "Failed to get users"),
    "getusermsg": _reads(wire_user.GetUserMsg, user.get, "Failed to get user"),
    "getuserbyidmsg": _reads(wire_user.GetUserByIdMsg, user.get_by_id, "Failed to get user by ID"),
    "removeusermsg": _route(wire_user.RemoveUserMsg, user.remove, "Failed to remove user"),
    "changeuseridmsg": _route(
        wire_user.ChangeUserIdMsg, user.change_id, "Failed to add log", "Failed to change user Id"
    ),
    # executor
    "addexecutormsg": _route(wire_executor.AddExecutorMsg, executor.add, "Failed to add executor"),
    "approveexecutormsg": _route(
        wire_executor.ApproveExecutorMsg, executor.approve, "Failed to approve executor"
    ),
    "rejectexecutormsg": _route(
        wire_executor.RejectExecutorMsg, executor.reject, "Failed to reject executor"
    ),
    "removeexecutormsg": _route(
        wire_executor.RemoveExecutorMsg, executor.remove, "Failed to remove executor"
    ),
    "getexecutorsmsg": _reads(
        wire_executor.GetExecutorsMsg, executor.get_all, "Failed to get executors"
    ),
    "getexecutormsg": _reads(wire_executor.GetExecutorMsg, executor.get, "Failed to get executor"),
    "getexecutorbyidmsg": _reads(
        wire_executor.GetExecutorByIdMsg, executor.get_by_id, "Failed to get executor by ID"
    ),
    "reportallocationmsg": _route(
        wire_executor.ReportAllocationMsg, executor.report_allocation, "Failed to report allocation"
    ),
    "updateexecutormsg": _route(
        wire_executor.UpdateExecutorMsg, executor.update, "Failed to update executor"
    ),
    "changeexecutoridmsg": _route(
        wire_executor.ChangeExecutorIdMsg, executor.change_id, "Failed to change executor Id"
    ),
    # function
    "addfunctionmsg": _route(wire_function.AddFunctionMsg, function.add, "Failed to add function"),
    "getfunctionsmsg": _reads(
        wire_function.GetFunctionsMsg, function.get_all, "Failed to get function"
    ),
    "getfunctionsbyexecutormsg": _reads(
        wire_function.GetFunctionsByExecutorMsg, function.get_all, "Failed to get function"
    ),
    "removefunctionmsg": _route(
        wire_function.RemoveFunctionMsg, function.remove, "Failed to remove function"
    ),
    # process
    "submitfuncspecmsg": _route(
        SubmitMsg,
        process.submit,
        "Failed to submit process",
        "Failed to submit process spec",
    ),
    "assignprocessmsg": _route(
        wire_process.AssignProcessMsg,
        assign.assign,
        "Failed to assign process",
        spelled="msg.msgType does not match payloadType",
    ),
    "pauseassignmentsmsg": _route(
        wire_colony.PauseAssignmentsMsg, assign.pause, "Failed to pause assignments"
    ),
    "resumeassignmentsmsg": _route(
        wire_colony.ResumeAssignmentsMsg, assign.resume, "Failed to resume assignments"
    ),
    "getpausestatusmsg": _route(
        wire_colony.GetPauseStatusMsg,
        assign.pause_status,
        "Failed to get pause status",
        reads=True,
        reply_type="pausestatusreplymsg",
    ),
    "getprocessmsg": _reads(wire_process.GetProcessMsg, process.get, "Failed to get process"),
    "getprocessesmsg": _reads(
        wire_process.GetProcessesMsg, process.get_many, "Failed to get processes"
    ),
    "getprocesshistmsg": _reads(
        wire_process.GetProcessHistMsg,
        process.history,
        "Failed to get process hist",
        "Failed to get process history",
    ),
    "removeprocessmsg": _route(
        wire_process.RemoveProcessMsg, process.remove, "Failed to remove process"
    ),
    "removeallprocessesmsg": _route(
        wire_process.RemoveAllProcessesMsg, process.remove_all, "Failed to remove all processes"
    ),
    "setoutputmsg": _route(wire_process.SetOutputMsg, process.set_output, "Failed to set output"),
    "cancelprocessmsg": _route(
        wire_process.CancelProcessMsg, process.cancel, "Failed to cancel process"
    ),
    "closesuccessfulmsg": _route(
        wire_process.CloseSuccessfulMsg,
        process.close_successful,
        "Failed to close successful",
        "Failed to close process as successful",
    ),
    "closefailedmsg": _route(
        wire_process.CloseFailedMsg,
        process.close_failed,
        "Failed to close failed",
        "Failed to close process as failed",
    ),
    # workflow
    "submitworkflowspecmsg": _route(
        wire_workflow.SubmitWorkflowSpecMsg,
        workflow.submit,
        "Failed to submit workkflow",
        "Failed to submit workflow",
    ),
    "addchildmsg": _route(
        wire_workflow.AddChildMsg, workflow.add_child, "Failed to add child to processgraph"
    ),
    "getprocessgraphmsg": _reads(
        wire_workflow.GetProcessGraphMsg, workflow.get, "Failed to get processgraph"
    ),
    "getprocessgraphsmsg": _reads(
        wire_workflow.GetProcessGraphsMsg, workflow.get_many, "Failed to get processgraphs"
    ),
    "removeprocessgraphmsg": _route(
        wire_workflow.RemoveProcessGraphMsg, workflow.remove, "Failed to remove processgraph"
    ),
    "removeallprocessgraphsmsg": _route(
        wire_workflow.RemoveAllProcessGraphsMsg,
        workflow.remove_all,
        "Failed to remove all processgraphs",
    ),
    "cancelprocessgraphmsg": _route(
        wire_workflow.CancelProcessGraphMsg, workflow.cancel, "Failed to cancel processgraph"
    ),
    # log
    "addlogmsg": _route(wire_log.AddLogMsg, log.add, "Failed to add log"),
    "addlogsmsg": _route(wire_log.AddLogsMsg, log.add_many, "Failed to add logs"),
    "addexecutorlogmsg": _route(
        wire_log.AddExecutorLogMsg, log.add_of_executor, "Failed to add executor log"
    ),
    "getlogsmsg": _reads(wire_log.GetLogsMsg, log.get, "Failed to get logs"),
    "searchlogsmsg": _reads(
        wire_log.SearchLogsMsg, log.search, "Failed to search logs", "Failed to get logs"
    ),
    # channel
    "channelappendmsg": _route(
        wire_channel.ChannelAppendMsg, channel.append, "Failed to append to channel"
    ),
    "channelreadmsg": _reads(
        wire_channel.ChannelReadMsg, channel.read, "Failed to read from channel"
    ),
    # cron
    "addcronmsg": _route(wire_cron.AddCronMsg, cron.add, "Failed to add cron"),
    "getcronmsg": _reads(wire_cron.GetCronMsg, cron.get, "Failed to get cron"),
    "getcronsmsg": _reads(wire_cron.GetCronsMsg, cron.get_many, "Failed to get crons"),
    "runcronmsg": _route(wire_cron.RunCronMsg, cron.run, "Failed to run cron"),
    "removecronmsg": _route(wire_cron.RemoveCronMsg, cron.remove, "Failed to remove cron"),
    # generator
    "addgeneratormsg": _route(
        wire_generator.AddGeneratorMsg, generator.add, "Failed to add generator"
    ),
    "getgeneratormsg": _reads(
        wire_generator.GetGeneratorMsg, generator.get, "Failed to get generator"
    ),
    "getgeneratorsmsg": _reads(
        wire_generator.GetGeneratorsMsg, generator.get_many, "Failed to get generators"
    ),
    "resolvegeneratormsg": _reads(
        wire_generator.ResolveGeneratorMsg, generator.resolve, "Failed to resolve generator"
    ),
    "packgeneratormsg": _route(
        wire_generator.PackGeneratorMsg,
        generator.pack,
        "Failed to inc generator",
        "Failed to increment generator",
    ),
    "removegeneratormsg": _route(
        wire_generator.RemoveGeneratorMsg, generator.remove, "Failed to remove generator"
    ),
    # attribute
    "addattributemsg": _route(
        wire_attribute.AddAttributeMsg, attribute.add, "Failed to add attribute"
    ),
    "getattributemsg": _reads(
        wire_attribute.GetAttributeMsg, attribute.get, "Failed to get attribute"
    ),
    # location
    "addlocationmsg": _route(wire_location.AddLocationMsg, location.add, "Failed to add location"),
    "getlocationsmsg": _reads(
        wire_location.GetLocationsMsg, location.get_all, "Failed to get locations"
    ),
    "getlocationmsg": _reads(wire_location.GetLocationMsg, location.get, "Failed to get location"),
    "removelocationmsg": _route(
        wire_location.RemoveLocationMsg, location.remove, "Failed to remove location"
    ),
    # blueprint
    "addblueprintdefinitionmsg": _route(
        wire_blueprint.AddBlueprintDefinitionMsg,
        definition.add,
        "Failed to add blueprint definition",
    ),
    "getblueprintdefinitionmsg": _reads(
        wire_blueprint.GetBlueprintDefinitionMsg,
        definition.get,
        "Failed to get blueprint definition",
    ),
    "getblueprintdefinitionsmsg": _reads(
        wire_blueprint.GetBlueprintDefinitionsMsg,
        definition.get_all,
        "Failed to get blueprint definitions",
    ),
    "removeblueprintdefinitionmsg": _route(
        wire_blueprint.RemoveBlueprintDefinitionMsg,
        definition.remove,
        "Failed to remove blueprint definition",
    ),
    "addblueprintmsg": _route(
        wire_blueprint.AddBlueprintMsg, blueprint.add, "Failed to add blueprint"
    ),
    "getblueprintmsg": _reads(
        wire_blueprint.GetBlueprintMsg, blueprint.get, "Failed to get blueprint"
    ),
    "getblueprintsmsg": _reads(
        wire_blueprint.GetBlueprintsMsg, blueprint.get_all, "Failed to get blueprints"
    ),
    "updateblueprintmsg": _route(
        wire_blueprint.UpdateBlueprintMsg, blueprint.update, "Failed to update blueprint"
    ),
    "removeblueprintmsg": _route(
        wire_blueprint.RemoveBlueprintMsg, blueprint.remove, "Failed to remove blueprint"
    ),
    "getblueprinthistorymsg": _reads(
        wire_blueprint.GetBlueprintHistoryMsg,
        blueprint.history,
        "Failed to get blueprint history",
    ),
    "updateblueprintstatusmsg": _route(
        wire_blueprint.UpdateBlueprintStatusMsg,
        blueprint.set_status,
        "Failed to update blueprint status",
    ),
    "reconcileblueprintmsg": _route(
        wire_blueprint.ReconcileBlueprintMsg, blueprint.reconcile, "Failed to reconcile blueprint"
    ),
    # file
    "addfilemsg": _route(wire_file.AddFileMsg, file.add, "Failed to add log", "Failed to add file"),
    "addfilesmsg": _route(wire_file.AddFilesMsg, file.add_many, "Failed to add files"),
    "getfilemsg": _reads(wire_file.GetFileMsg, file.get, "Failed to add log", "Failed to get file"),
    "getfilesmsg": _reads(wire_file.GetFilesMsg, file.get_many, "Failed to get files"),
    "getfilelabelsmsg": _reads(wire_file.GetFileLabelsMsg, file.get_labels, "Failed to get files"),
    "removefilemsg": _route(wire_file.RemoveFileMsg, file.remove, "Failed to remove file"),
    # snapshot
    "createsnapshotmsg": _route(
        wire_file.CreateSnapshotMsg, snapshot.create, "Failed to create snapshot"
    ),
    "getsnapshotmsg": _reads(wire_file.GetSnapshotMsg, snapshot.get, "Failed to get snapshot"),
    "getsnapshotsmsg": _reads(
        wire_file.GetSnapshotsMsg, snapshot.get_many, "Failed to get snapshots"
    ),
    "removesnapshotmsg": _route(
        wire_file.RemoveSnapshotMsg, snapshot.remove, "Failed to remove snapshot"
    ),
    "removeallsnapshotmsg": _route(
        wire_file.RemoveAllSnapshotMsg, snapshot.remove_all, "Failed to remove snapshot"
    ),
}
