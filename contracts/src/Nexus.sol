// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {INexus} from "./interfaces/INexus.sol";
import {IResponse} from "./interfaces/IResponse.sol";
import {ISource} from "./interfaces/ISource.sol";
import {ITask} from "./interfaces/ITask.sol";
import {ITerminal} from "./interfaces/ITerminal.sol";
import {IVault} from "./interfaces/IVault.sol";
import {
    DeliveryMethod,
    ResponseParams,
    ResponseStatus,
    SourceParams,
    SourceStatus,
    TaskStatus
} from "./interfaces/Types.sol";
import {Ranges} from "./libraries/Ranges.sol";
import {Response} from "./Response.sol";
import {Source} from "./Source.sol";

/// @notice Registry of sources and tasks; registration, attempts and responses. All protocol events of items come from here.
contract Nexus is Ownable, INexus {
    bytes32 public constant CONTROLLER = keccak256("CONTROLLER");
    bytes32 public constant PROVIDER = keccak256("PROVIDER");

    // CPU 1, NVIDIA 2, AMD 4.
    uint8 private constant ALL_ENVIRONMENTS = 7;

    address public manager;
    address public terminal;
    address public vault;

    address[] public sources;
    /// @notice Each account that has published a source, once.
    address[] public clients;
    /// @notice Position in sources plus one; 0 means unknown.
    mapping(address => uint256) public sourceId;
    mapping(address => address[]) public sourcesOf;
    mapping(address => uint256) public activeSourceCountOf;

    // Anyone can deploy a contract that looks like a task or a response; only those in here are obeyed.
    mapping(address => bool) private _isTask;
    mapping(address => bool) private _isResponse;

    modifier onlyController() {
        require(checkController(msg.sender), "NotOwner");
        _;
    }

    constructor(address _manager, address _terminal, address _vault) Ownable(msg.sender) {
        manager = _manager;
        terminal = _terminal;
        vault = _vault;
    }

    function setManager(address _manager) external onlyOwner {
        manager = _manager;
    }

    function setTerminal(address _terminal) external onlyOwner {
        terminal = _terminal;
    }

    function setVault(address _vault) external onlyOwner {
        vault = _vault;
    }

    /// @notice Publishes a source of the client named in it; the client's stake must cover this one too.
    function publishSource(SourceParams calldata _sourceParams) external {
        address client = _sourceParams.client;
        _requireClient(client);
        _requireEnvironments(_sourceParams.imageEnvironments);
        activeSourceCountOf[client] += 1;
        require(IVault(vault).isEligible(client), "NotEligible");

        address source = address(new Source(_stamped(_sourceParams)));
        if (sourcesOf[client].length == 0) clients.push(client);
        sources.push(source);
        sourceId[source] = sources.length;
        sourcesOf[client].push(source);
        emit SourcePublished(source);
    }

    /// @notice Replaces a source's parameters; tasks already published keep their own terms.
    function updateSource(address source, SourceParams calldata _sourceParams) external {
        address client = _requireActive(source);
        _requireClient(client);
        require(_sourceParams.client == client, "NotClient");
        _requireEnvironments(_sourceParams.imageEnvironments);

        SourceParams memory stamped = _stamped(_sourceParams);
        ISource(source).setSourceParams(stamped);
        emit SourceUpdated(source, stamped);
    }

    /// @notice Ends a source for good; tasks already published run on.
    function inactivateSource(address source) external {
        _requireClient(_requireActive(source));
        _setSourceStatus(source, SourceStatus.INACTIVE);
    }

    /// @notice Registers a paired and staked provider with a source for one of its environments.
    function register(address source, address provider, uint8 preferredEnvironment) external {
        _requireActive(source);
        _requireActsFor(provider);
        _requirePaired(provider);
        SourceParams memory params = ISource(source).getSourceParams();
        require(ISource(source).getRegistrantId(provider) == 0, "AlreadyRegistered");
        require(_isOneOf(preferredEnvironment, params.imageEnvironments), "InvalidEnvironment");
        _requireLockup(provider, params.minAvailableLockup);

        uint256 id = ISource(source).register(provider, preferredEnvironment);
        emit Registered(provider, id, source, preferredEnvironment);
    }

    /// @notice Takes a provider off a source, active or not; attempts it has made stay.
    function unregister(address source, address provider) external {
        require(sourceId[source] != 0, "SourceInactive");
        _requireActsFor(provider);
        ISource(source).unregister(provider);
    }

    /// @notice Enters an attempt; past the expiry it marks the task EXPIRED and refunds its client instead.
    function attempt(address task, address provider, uint256 suggestedPayment) external {
        _requireOpen(task);
        _requireActsFor(provider);
        require(ISource(ITask(task).getSource()).getRegistrantId(provider) != 0, "NotRegistered");
        if (_isExpired(task)) {
            _expire(task);
            return;
        }
        // [L] A removed provider starts nothing new, though it may still submit what it has attempted.
        _requirePaired(provider);
        require(IVault(vault).isEligible(provider), "NotEligible");
        require(suggestedPayment <= ITask(task).getPayment(), "InsufficientPayment");

        ITask(task).attempt(provider);
        emit Attempted(task, provider, suggestedPayment);
        if (ITask(task).getStatus() == TaskStatus.NEW) _setTaskStatus(task, TaskStatus.ATTEMPTED);
    }

    /// @notice Submits the sender's response; under FIRST_RESPONSE it wins and is paid at once.
    function submitResponse(ResponseParams calldata _responseParams) external {
        address task = _responseParams.task;
        require(msg.sender == _responseParams.provider, "NotProvider");
        _requireOpen(task);
        require(!_isExpired(task), "Expired");
        require(_responseParams.payment <= ITask(task).getPayment(), "InsufficientPayment");

        address response = address(new Response(_responseParams));
        _isResponse[response] = true;
        ITask(task).submitResponse(response, msg.sender);
        emit ResponseSubmitted(response, task);
        if (ITask(task).getStatus() != TaskStatus.RESPONDED) _setTaskStatus(task, TaskStatus.RESPONDED);
        if (ITask(task).getDeliveryMethod() == DeliveryMethod.FIRST_RESPONSE) _settleFirst(task, response);
    }

    /// @notice Enters a new task in its source and announces it.
    function emitTaskPublished(address task, address source) external onlyController {
        require(sourceId[source] != 0, "SourceInactive");
        require(!_isTask[task], "InvalidStatus");
        _isTask[task] = true;
        ISource(source).publishTask(task);
        emit TaskPublished(task, source);
    }

    function setSourceStatus(address source, SourceStatus status) external onlyController {
        require(sourceId[source] != 0, "SourceInactive");
        _setSourceStatus(source, status);
    }

    function setTaskStatus(address task, TaskStatus status) external {
        // The Vault marks a task as expired when its client takes the payment back; it needs no role for that.
        require(checkController(msg.sender) || msg.sender == vault, "NotOwner");
        require(_isTask[task], "InvalidStatus");
        _setTaskStatus(task, status);
    }

    function setResponseStatus(address response, ResponseStatus status) external onlyController {
        require(_isResponse[response], "InvalidStatus");
        _setResponseStatus(response, status);
    }

    function checkController(address account) public view returns (bool) {
        return IAccessControl(manager).hasRole(CONTROLLER, account);
    }

    function getActiveSourceCount(address client) external view returns (uint256) {
        return activeSourceCountOf[client];
    }

    function getSourceCount() external view returns (uint256) {
        return sources.length;
    }

    function getSourceId(address source) external view returns (uint256) {
        return sourceId[source];
    }

    /// @notice Both bounds inclusive.
    function getSources(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return Ranges.slice(sources, lower, upper);
    }

    function _expire(address task) private {
        _setTaskStatus(task, TaskStatus.EXPIRED);
        IVault(vault).releasePayment(ITask(task).owner(), task);
    }

    function _settleFirst(address task, address response) private {
        _setResponseStatus(response, ResponseStatus.CONFIRMED);
        _setTaskStatus(task, TaskStatus.FINALIZED);
        IVault(vault).processPayment(ITask(task).owner(), msg.sender, task, ITask(task).getPayment());
    }

    function _setSourceStatus(address source, SourceStatus status) private {
        ISource(source).setStatus(status);
        activeSourceCountOf[ISource(source).getClient()] -= 1;
        emit SourceStatusChanged(source, status);
    }

    function _setTaskStatus(address task, TaskStatus status) private {
        ITask(task).setStatus(status);
        emit TaskStatusChanged(task, status);
    }

    function _setResponseStatus(address response, ResponseStatus status) private {
        IResponse(response).setStatus(status);
        emit ResponseStatusChanged(response, status);
    }

    function _stamped(SourceParams calldata given) private view returns (SourceParams memory params) {
        params = given;
        params.lastUpdateTime = block.timestamp;
    }

    function _isExpired(address task) private view returns (bool) {
        return block.timestamp >= ITask(task).getExpiryTime();
    }

    function _requireActive(address source) private view returns (address client) {
        require(sourceId[source] != 0, "SourceInactive");
        require(ISource(source).getStatus() == SourceStatus.ACTIVE, "SourceInactive");
        return ISource(source).getClient();
    }

    // A FIRST_RESPONSE task is never seen as RESPONDED: its first response finalizes it in the same call.
    function _requireOpen(address task) private view {
        require(_isTask[task], "InvalidStatus");
        TaskStatus status = ITask(task).getStatus();
        require(status != TaskStatus.FINALIZED, "AlreadyFinalized");
        require(status <= TaskStatus.RESPONDED, "InvalidStatus");
    }

    function _requireClient(address client) private view {
        // [L] Named agents only: the default agent does not act for clients.
        require(msg.sender == client || ITerminal(terminal).isAgentOf(client, msg.sender), "NotClient");
    }

    function _requireActsFor(address provider) private view {
        if (msg.sender == provider) return;
        address master = ITerminal(terminal).getMasterOf(provider);
        require(master != address(0), "NotAgent");
        require(msg.sender == master || ITerminal(terminal).getIsAgentOf(master, msg.sender), "NotAgent");
    }

    function _requirePaired(address provider) private view {
        require(IAccessControl(manager).hasRole(PROVIDER, provider), "NotProvider");
    }

    function _requireLockup(address provider, uint256 minAvailable) private view {
        uint256 floor = IVault(vault).MIN_LOCKUP_PER_SOURCE();
        uint256 needed = minAvailable > floor ? minAvailable : floor;
        require(IVault(vault).getLockupOf(provider) >= needed, "InsufficientLockup");
    }

    function _requireEnvironments(uint8 environments) private pure {
        require(environments != 0 && environments <= ALL_ENVIRONMENTS, "InvalidEnvironment");
    }

    function _isOneOf(uint8 environment, uint8 offered) private pure returns (bool) {
        bool oneBit = environment != 0 && environment & (environment - 1) == 0;
        return oneBit && environment & offered == environment;
    }
}
